/* Arguments that a call must refuse, with the status that the header promises. */
#ifndef TESTS_REFUSALS_H
#define TESTS_REFUSALS_H

void test_refusals(const char *isa);

#endif
