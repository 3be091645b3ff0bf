#include "check.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char case_name[512];
static int case_open, case_bad;
static int n_passed, n_failed;

static void close_case(void)
{
    if (!case_open) return;
    if (case_bad) {
        n_failed++;
    } else {
        n_passed++;
    }
    case_open = 0;
}

void check_begin(const char *format, ...)
{
    close_case();
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(case_name, sizeof case_name, format, arguments);
    va_end(arguments);
    case_open = 1;
    case_bad = 0;
}

void check(int fact, const char *format, ...)
{
    if (fact || case_bad) return;
    case_bad = 1;
    printf("FAILED %s: ", case_name);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
}

int check_failed(void) { return case_bad; }

int check_report(void)
{
    close_case();
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_passed == 0 || n_failed != 0;
}

void check_close(long double got, long double want, long double bound, const char *what, int64_t row, int64_t column)
{
    int close = isnan(want) ? isnan(got) : isinf(want) ? got == want : fabsl(got - want) <= bound;
    check(close, "%s[%" PRId64 "][%" PRId64 "] is %.17Lg, expected %.17Lg within %.3Lg", what, row, column, got, want, bound);
}

/* splitmix64 (Steele, Lea and Flood, 2014). */
uint64_t random_bits(random_state *random)
{
    uint64_t z = random->state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

int64_t random_below(random_state *random, int64_t n) { return (int64_t)(random_bits(random) % (uint64_t)n); }

double random_uniform(random_state *random, double low, double high)
{
    return low + (high - low) * (double)(random_bits(random) >> 11) * 0x1p-53;
}

int64_t random_pick(random_state *random, const int64_t *choices, size_t n_choices)
{
    return choices[random_below(random, (int64_t)n_choices)];
}

guarded guarded_new(size_t size, size_t alignment, int flush_end)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t body = (size + alignment + page - 1) / page * page;
    guarded buffer = {.mapping_size = body + 2 * page, .size = size};
    buffer.mapping = mmap(NULL, buffer.mapping_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *first = (char *)buffer.mapping + page;
    if (buffer.mapping == MAP_FAILED || mprotect(buffer.mapping, page, PROT_NONE) != 0 ||
        mprotect(first + body, page, PROT_NONE) != 0) {
        perror("guard pages");
        exit(2);
    }
    memset(first, 0xA5, body);
    buffer.data = flush_end ? first + (body - size) / alignment * alignment : first;
    return buffer;
}

void guarded_free(guarded *buffer)
{
    munmap(buffer->mapping, buffer->mapping_size);
    *buffer = (guarded){0};
}
