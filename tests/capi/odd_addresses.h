/* Data at any address. */
#ifndef TESTS_ODD_ADDRESSES_H
#define TESTS_ODD_ADDRESSES_H

void test_odd_addresses(void);

#endif
