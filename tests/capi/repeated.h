/* Calls that differ from the one before in their arrays alone. */
#ifndef TESTS_REPEATED_H
#define TESTS_REPEATED_H

void test_repeated(void);

#endif
