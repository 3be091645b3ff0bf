/* The pthreads backend: one pool per process, shared by all callers, made to survive fork.
 *
 * A caller posts a job, works on it itself, then takes it back: helpers that did not come in time are not waited for.
 * Workers are created when first needed, never end, and are detached: exit() finds them asleep in a condition
 * variable, or computing on memory that outlives them.
 */
#define _GNU_SOURCE /* pthread_setname_np, pthread_setaffinity_np */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "backend.h"
#include "foveate/foveate.h"
#include "threads_limit.h"

/* Spinning hides the 30 to 60 us that waking a sleeping thread takes, between one layer's call and the next. */
enum { SPIN_NS = 100000, SPINS_PER_CLOCK = 32 };

typedef struct job {
    fov_region *region;
    int n_wanted;         /* helpers that may still join */
    int next_thread;      /* index of the next helper; the caller is 0 */
    _Atomic int n_active; /* helpers inside; changed under the mutex, read without it while spinning */
    pthread_cond_t done;
    struct job *next;
} job;

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t posted;
    job *first, **last;
    int n_workers, n_active, n_wanted; /* workers: all, inside jobs; helpers wanted by all jobs */
    int n_spinning, n_cpus;
    _Atomic unsigned n_posts; /* what a spinning worker watches */
    struct {
        pthread_t thread;
        int kept_off; /* the CPU that it must not run on, -1: none */
    } workers[FOV_MAX_THREADS];
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER, .posted = PTHREAD_COND_INITIALIZER, .last = &pool.first};

/* The mutex may be held, and the queue half linked, by a thread that does not exist here: start anew. */
void fov_pool_forget(void)
{
    pthread_mutex_init(&pool.mutex, NULL);
    pthread_cond_init(&pool.posted, NULL);
    pool.first = NULL;
    pool.last = &pool.first;
    pool.n_workers = pool.n_active = pool.n_wanted = pool.n_spinning = 0;
    atomic_store(&pool.n_posts, 0);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void spin_for_post(unsigned seen)
{
    for (int64_t end = now_ns() + SPIN_NS; now_ns() < end;)
        for (int i = 0; i < SPINS_PER_CLOCK; i++) {
            if (atomic_load_explicit(&pool.n_posts, memory_order_acquire) != seen) return;
            relax();
        }
}

static void spin_for_helpers(job *mine)
{
    for (int64_t end = now_ns() + SPIN_NS; now_ns() < end;)
        for (int i = 0; i < SPINS_PER_CLOCK; i++) {
            if (atomic_load_explicit(&mine->n_active, memory_order_acquire) == 0) return;
            relax();
        }
}

/* The functions below are called with the mutex held. */

static job *first_job_wanting_help(void)
{
    job *found = pool.first;
    while (found != NULL && found->n_wanted == 0) found = found->next;
    return found;
}

static void help(job *theirs)
{
    int thread = theirs->next_thread++;
    theirs->n_wanted--;
    pool.n_wanted--;
    pool.n_active++;
    atomic_fetch_add(&theirs->n_active, 1);
    pthread_mutex_unlock(&pool.mutex);

    fov_region_work(theirs->region, thread);

    pthread_mutex_lock(&pool.mutex);
    pool.n_active--;
    if (atomic_fetch_sub(&theirs->n_active, 1) == 1)
        pthread_cond_signal(&theirs->done); /* the caller cannot leave before it gets the mutex */
}

static void wait_for_post(int *may_spin)
{
    /* With more threads than CPUs a spinning worker would stand in the way of a working one. */
    if (*may_spin && pool.n_workers < pool.n_cpus) {
        unsigned seen = atomic_load(&pool.n_posts);
        pool.n_spinning++;
        pthread_mutex_unlock(&pool.mutex);
        spin_for_post(seen);
        pthread_mutex_lock(&pool.mutex);
        pool.n_spinning--;
        *may_spin = 0;
    } else {
        pthread_cond_wait(&pool.posted, &pool.mutex);
        *may_spin = 1; /* also when the job was over before this worker woke: the next one is likely near */
    }
}

static void unlink_job(job *mine)
{
    job **link = &pool.first;
    while (*link != mine) link = &(*link)->next;
    *link = mine->next;
    if (pool.last == &mine->next) pool.last = link;
    pool.n_wanted -= mine->n_wanted;
    mine->n_wanted = 0;
}

/* Not called with the mutex held: takes it, and gives it up only to work, spin or sleep. */
static void *worker_main(void *unused)
{
    (void)unused;
    int may_spin = 0;
    pthread_mutex_lock(&pool.mutex);
    for (;;) {
        job *theirs = first_job_wanting_help();
        if (theirs != NULL) {
            help(theirs);
            may_spin = 1;
        } else {
            wait_for_post(&may_spin);
        }
    }
    return NULL;
}

/* Workers leave signals to the threads of the program; faults stay open, for handlers that report them. */
static int create_worker(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigset_t blocked, before;
    pthread_attr_t attributes;
    pthread_t *thread = &pool.workers[pool.n_workers].thread;
    pool.workers[pool.n_workers].kept_off = -1;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&blocked, faults[i]);
    if (pthread_attr_init(&attributes) != 0) return 0;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int created = pthread_create(thread, &attributes, worker_main, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
#ifdef __linux__
    if (created) pthread_setname_np(*thread, "foveate");
#endif
    return created;
}

/* A halted virtual CPU looks busy to Linux' wake-up path, which then puts the worker behind its waker on the same CPU, for
 * 2 to 6 ms: half of the wake-ups after a pause on a machine of two. */
static void keep_workers_off_this_cpu(void)
{
#ifdef __linux__
    int here = sched_getcpu();
    cpu_set_t others;
    CPU_ZERO(&others);
    for (int i = 0; here >= 0 && here < CPU_SETSIZE && i < pool.n_workers; i++) {
        if (pool.workers[i].kept_off == here) continue;
        if (CPU_COUNT(&others) == 0) {
            if (sched_getaffinity(0, sizeof others, &others) != 0) return;
            CPU_CLR(here, &others);
            if (CPU_COUNT(&others) == 0) return;
        }
        pthread_setaffinity_np(pool.workers[i].thread, sizeof others, &others);
        pool.workers[i].kept_off = here;
    }
#endif
}

/* The helpers a new job can have: idle workers and, while the system allows, new ones. */
static int find_helpers(int n_helpers)
{
    int promised = pool.n_active + pool.n_wanted;
    while (pool.n_workers < promised + n_helpers && pool.n_workers < FOV_MAX_THREADS && create_worker()) pool.n_workers++;
    int idle = pool.n_workers - promised;
    return idle < n_helpers ? idle : n_helpers;
}

void fov_pool_run(fov_region *region, int n_threads)
{
    job mine = {.region = region, .next_thread = 1, .done = PTHREAD_COND_INITIALIZER};
    int n_cpus = fov_get_available_threads();

    pthread_mutex_lock(&pool.mutex);
    pool.n_cpus = n_cpus;
    mine.n_wanted = find_helpers(n_threads - 1);
    pool.n_wanted += mine.n_wanted;
    *pool.last = &mine;
    pool.last = &mine.next;
    atomic_fetch_add(&pool.n_posts, 1);
    int n_asleep = mine.n_wanted - pool.n_spinning; /* those that spin look again before they sleep */
    if (n_asleep > 0 && pool.n_workers < n_cpus) keep_workers_off_this_cpu();
    pthread_mutex_unlock(&pool.mutex);
    for (int i = 0; i < n_asleep; i++) /* without the mutex, on which they would only fall asleep again */
        pthread_cond_signal(&pool.posted);

    fov_region_work(region, 0);

    pthread_mutex_lock(&pool.mutex);
    unlink_job(&mine);
    if (atomic_load(&mine.n_active) != 0) {
        pthread_mutex_unlock(&pool.mutex);
        spin_for_helpers(&mine);
        pthread_mutex_lock(&pool.mutex);
        while (atomic_load(&mine.n_active) != 0) pthread_cond_wait(&mine.done, &pool.mutex);
    }
    pthread_mutex_unlock(&pool.mutex);
    pthread_cond_destroy(&mine.done);
}
