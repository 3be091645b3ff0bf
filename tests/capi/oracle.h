/* The definition of attention as plain loops, and how far a result may be from it. */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include "problem.h"

/* Compares output, lse and weights with the definition, element by element. */
void oracle_check(const problem *call);

#endif
