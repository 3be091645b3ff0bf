/* default = min(FOVEATE_NUM_THREADS or OMP_NUM_THREADS or affinity, cgroup quota), unless fov_set_num_threads chose;
 * then no more than what somebody gave to omp_set_num_threads in the calling thread (threadpoolctl does).
 * No call gets more than available = min(affinity, quota), except that FOVEATE_NUM_THREADS is believed when it is
 * larger: tests and odd machines need more threads than CPUs. OMP_NUM_THREADS, meant for every library of the
 * process, only lowers.
 */
#define _GNU_SOURCE /* sched_getaffinity */
#include "threads_limit.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

#include "backend.h"
#include "cgroup.h"
#include "parallel.h"

#ifdef FOV_HAVE_PTHREADS
enum { BUILT_WITH_THREADS = 1 };
#else
enum { BUILT_WITH_THREADS = 0 };
#endif
enum { ENV_UNREAD = -2, ENV_INVALID = -1, ENV_NOT_SET = 0 };
static const int64_t CACHE_NS = 1000000000;

static _Atomic int env_foveate = ENV_UNREAD, env_openmp = ENV_UNREAD;
static _Atomic int chosen; /* fov_set_num_threads; 0: nothing chosen */
static _Atomic unsigned generation = 1;
static _Atomic int64_t quota_expires;
static _Atomic int quota_cpus; /* 0: no quota */

static int smaller(int a, int b) { return a < b ? a : b; }
static int larger(int a, int b) { return a > b ? a : b; }

/* OMP_NUM_THREADS may be a list, one number per nesting level: the first one counts. */
static int parse_count(const char *text, int list_allowed)
{
    char *end;
    if (text == NULL || *text == '\0') return ENV_NOT_SET;
    int saved = errno;
    long n = strtol(text, &end, 10);
    errno = saved;
    int number_found = end != text;
    end += strspn(end, " \t");
    if (!number_found || n < 1 || (*end != '\0' && !(list_allowed && *end == ','))) return ENV_INVALID;
    return n < FOV_MAX_THREADS ? (int)n : FOV_MAX_THREADS;
}

/* The environment is read once. Two threads may both do it, with the same result. */
static int environment(const char *name, _Atomic int *cached, int list_allowed)
{
    int value = atomic_load_explicit(cached, memory_order_relaxed);
    if (value == ENV_UNREAD) {
        value = parse_count(getenv(name), list_allowed);
        atomic_store_explicit(cached, value, memory_order_relaxed);
    }
    return value;
}

static int from_foveate_env(void) { return environment("FOVEATE_NUM_THREADS", &env_foveate, 0); }
static int from_openmp_env(void) { return environment("OMP_NUM_THREADS", &env_openmp, 1); }

static int64_t now_ns(void)
{
    struct timespec t;
#ifdef CLOCK_MONOTONIC_COARSE
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t); /* 4 ms steps, a quarter of the price */
#else
    clock_gettime(CLOCK_MONOTONIC, &t);
#endif
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int read_affinity(void)
{
#ifdef __linux__
    static const int n_words = 1024; /* 65536 CPUs, more than any kernel is built for */
    unsigned long mask[1024] = {0};
    if (sched_getaffinity(0, n_words * sizeof *mask, (cpu_set_t *)mask) == 0) {
        int n = 0;
        for (int i = 0; i < n_words; i++) n += __builtin_popcountl(mask[i]);
        return smaller(larger(n, 1), FOV_MAX_THREADS);
    }
#endif
    return smaller(larger((int)sysconf(_SC_NPROCESSORS_ONLN), 1), FOV_MAX_THREADS);
}

/* Each thread has its own affinity, so the cache is one per thread, too. */
static int affinity(void)
{
    static _Thread_local struct {
        int64_t expires;
        unsigned generation;
        int cpus;
    } cache;
    int64_t now = now_ns();
    unsigned current = atomic_load_explicit(&generation, memory_order_relaxed);
    if (cache.generation != current || now >= cache.expires) {
        cache.cpus = read_affinity();
        cache.generation = current;
        cache.expires = now + CACHE_NS;
    }
    return cache.cpus;
}

static int quota(void)
{
    int64_t now = now_ns(), expires = atomic_load(&quota_expires);
    /* When it expires one thread reads it and the others go on with the old value; at first all must wait for it. */
    if (now >= expires && (expires == 0 || atomic_compare_exchange_strong(&quota_expires, &expires, now + CACHE_NS))) {
        atomic_store(&quota_cpus, fov_cgroup_cpus("/proc/self/cgroup", "/proc/self/mountinfo"));
        atomic_store(&quota_expires, now + CACHE_NS);
    }
    return atomic_load(&quota_cpus);
}

static int under_quota(int n)
{
    int cpus = quota();
    return cpus > 0 ? smaller(n, cpus) : n;
}

void fov_limits_forget(void)
{
    atomic_fetch_add(&generation, 1);
    atomic_store(&quota_expires, 0);
}

int fov_get_available_threads(void) { return under_quota(affinity()); }

/* What a call may ask for. */
static int most_threads(void) { return larger(fov_get_available_threads(), from_foveate_env()); }

static int automatic(void)
{
    int n = from_foveate_env();
    if (n < 1) {
        n = affinity();
        if (from_openmp_env() >= 1) n = smaller(n, from_openmp_env());
    }
    return under_quota(n);
}

int fov_get_process_num_threads(void)
{
    int n = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (!BUILT_WITH_THREADS) return 1;
    return n >= 1 ? smaller(n, most_threads()) : automatic();
}

/* The number that somebody gave to omp_set_num_threads in this thread, 0 if nobody did. Larger ones than OpenMP began
 * with are no limit. Also read in forked children: the limit is inherited, and reading it cannot hang. */
static int openmp_limit(void)
{
#ifdef FOV_HAVE_OPENMP
    int now = fov_openmp_max_threads();
    int first = from_openmp_env() >= 1 ? from_openmp_env() : affinity();
    return now < first ? now : 0;
#else
    return 0;
#endif
}

int fov_get_num_threads(void)
{
    int n = fov_get_process_num_threads(), limit = openmp_limit();
    return limit > 0 ? smaller(n, limit) : n;
}

void fov_set_num_threads(int n) { atomic_store(&chosen, larger(n, 0)); }

int fov_resolve_threads(int requested)
{
    if (!BUILT_WITH_THREADS) return 1;
    return requested >= 1 ? smaller(requested, most_threads()) : fov_get_num_threads();
}

static void describe(char *text, size_t size, const char *name, int value)
{
    if (value == ENV_NOT_SET) snprintf(text, size, "%s not set", name);
    else if (value == ENV_INVALID) snprintf(text, size, "%s ignored (not a whole number of at least 1)", name);
    else snprintf(text, size, "%s is %d", name, value);
}

const char *fov_threads_reason(void)
{
    static _Thread_local char reason[512];
    char foveate[96], openmp[96], cgroup[32] = "none", extra[96] = "";
    describe(foveate, sizeof foveate, "FOVEATE_NUM_THREADS", from_foveate_env());
    describe(openmp, sizeof openmp, "OMP_NUM_THREADS", from_openmp_env());
    if (quota() > 0) snprintf(cgroup, sizeof cgroup, "%d", quota());

    int set = atomic_load(&chosen), limit = openmp_limit(), length = 0;
    if (set > 0) length = snprintf(extra, sizeof extra, ", set_num_threads(%d) called", set);
    if (limit > 0) snprintf(extra + length, sizeof extra - (size_t)length, ", OpenMP limited to %d in this thread", limit);
    const char *build = BUILT_WITH_THREADS ? "" : ", built without threads";
    snprintf(reason, sizeof reason, "%d: affinity allows %d CPU%s, cgroup quota %s, %s, %s%s%s", fov_get_num_threads(),
             affinity(), affinity() == 1 ? "" : "s", cgroup, foveate, openmp, extra, build);
    return reason;
}
