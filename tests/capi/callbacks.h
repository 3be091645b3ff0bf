/* The parts of test_callbacks. */
#ifndef TESTS_CALLBACKS_H
#define TESTS_CALLBACKS_H

void test_host_threads(const char *isa); /* callbacks_host.c: parallel_for */
void test_merge(const char *isa);        /* callbacks_merge.c: fov_merge */
void test_tiles_left_behind(int isa);

#endif
