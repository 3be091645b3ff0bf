/* fov_parallel_for on both backends: the whole suite runs in this process, and again in a forked child, where the
 * pthreads pool takes the place of OpenMP. Prints what failed; the exit code is 1 then. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../csrc/include/foveate/foveate.h"
#include "../../csrc/parallel/parallel.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
enum { MAX_TASKS = 1000, MAX_THREADS = 64, HANG_SECONDS = 60, MEETING_SECONDS = 20 };

static _Atomic int n_failures;
#define CHECK(condition, ...)                                                                                                    \
    do {                                                                                                                         \
        if (!(condition)) {                                                                                                      \
            printf("line %d, %s: ", __LINE__, fov_threading_layer());                                                            \
            printf(__VA_ARGS__);                                                                                                 \
            printf(" (%s is false)\n", #condition);                                                                              \
            atomic_fetch_add(&n_failures, 1);                                                                                    \
        }                                                                                                                        \
    } while (0)

/* Every task once, no two tasks at a time on one thread index, the plain stores visible to the caller afterwards. */
struct tally {
    _Atomic int runs[MAX_TASKS], busy[MAX_THREADS];
    int plain[MAX_TASKS];
    _Atomic int highest_thread, clashes;
};

static void tally_task(void *context, int64_t task, int thread)
{
    struct tally *t = context;
    if (thread < 0 || thread >= MAX_THREADS || atomic_exchange(&t->busy[thread], 1) != 0) {
        atomic_fetch_add(&t->clashes, 1);
        return;
    }
    atomic_fetch_add(&t->runs[task], 1);
    t->plain[task] = (int)task + 1;
    for (int seen = t->highest_thread; seen < thread && !atomic_compare_exchange_weak(&t->highest_thread, &seen, thread););
    atomic_store(&t->busy[thread], 0);
}

/* Returns the number of thread indices that were in use. */
static int run_tally(int64_t n_tasks, int n_threads)
{
    struct tally *t = calloc(1, sizeof *t);
    fov_parallel_for(n_tasks, n_threads, tally_task, t);
    int wrong = 0;
    for (int i = 0; i < MAX_TASKS; i++) wrong += t->runs[i] != (i < n_tasks) || t->plain[i] != (i < n_tasks ? i + 1 : 0);
    CHECK(wrong == 0, "%d of %d tasks on %d threads did not run exactly once", wrong, (int)n_tasks, n_threads);
    CHECK(t->clashes == 0, "%d tasks, %d threads: a thread index out of range or used twice", (int)n_tasks, n_threads);
    CHECK(t->highest_thread < (n_threads > 1 ? n_threads : 1), "thread %d of %d", t->highest_thread, n_threads);
    int n_used = t->highest_thread + 1;
    free(t);
    return n_used;
}

static void test_each_task_once(void)
{
    static const int n_tasks[] = {-3, 0, 1, 2, 3, 4, 7, 8, 9, 63, 64, 65, 1000};
    static const int n_threads[] = {-1, 0, 1, 2, 3, 4, 5, 8, 16, 33, MAX_THREADS};
    for (size_t i = 0; i < sizeof n_tasks / sizeof *n_tasks; i++)
        for (size_t j = 0; j < sizeof n_threads / sizeof *n_threads; j++)
            for (int repeat = 0; repeat < 3; repeat++) run_tally(n_tasks[i], n_threads[j]);
}

/* As many tasks as threads, each waiting for all the others: only that many real threads can meet. */
struct meeting {
    int n_expected;
    time_t end;
    _Atomic int n_arrived, n_missed;
};

static void meet_task(void *context, int64_t task, int thread)
{
    struct meeting *m = context;
    (void)task, (void)thread;
    atomic_fetch_add(&m->n_arrived, 1);
    while (m->n_arrived < m->n_expected && time(NULL) < m->end) sched_yield();
    atomic_fetch_add(&m->n_missed, m->n_arrived < m->n_expected);
}

static int threads_meet_within(int seconds, int n)
{
    struct meeting m = {.n_expected = n, .end = time(NULL) + seconds};
    fov_parallel_for(n, n, meet_task, &m);
    return m.n_missed == 0;
}

static int threads_meet(int n) { return threads_meet_within(MEETING_SECONDS, n); }

static void test_really_parallel(void)
{
    for (int n = 2; n <= 8; n++) CHECK(threads_meet(n), "%d tasks did not run at the same time", n);
}

struct nest {
    pthread_t outer;
    _Atomic int runs, strangers;
};

static void inner_task(void *context, int64_t task, int thread)
{
    struct nest *n = context;
    (void)task;
    atomic_fetch_add(&n->strangers, thread != 0 || !pthread_equal(n->outer, pthread_self()));
    atomic_fetch_add(&n->runs, 1);
}

static void outer_task(void *context, int64_t task, int thread)
{
    struct nest n = {.outer = pthread_self()};
    (void)task, (void)thread;
    fov_parallel_for(50, 4, inner_task, &n);
    if (n.runs == 50 && n.strangers == 0) atomic_fetch_add((_Atomic int *)context, 1);
}

static void test_nested_is_serial(void)
{
    _Atomic int n_good = 0;
    fov_parallel_for(40, 4, outer_task, &n_good);
    CHECK(n_good == 40, "%d of 40 nested regions ran each task once and on their own thread", n_good);
}

static void *many_regions(void *unused)
{
    (void)unused;
    for (int i = 0; i < 150; i++) run_tally(i % 40, 1 + i % 5);
    return NULL;
}

static void test_concurrent_callers(void)
{
    pthread_t callers[6];
    for (int i = 0; i < 6; i++) pthread_create(&callers[i], NULL, many_regions, NULL);
    for (int i = 0; i < 6; i++) pthread_join(callers[i], NULL);
    CHECK(threads_meet(2), "threads got lost under concurrent callers");
}

/* One caller holds all threads until `release`; the other must be served by itself alone. */
static _Atomic int n_holding, release_holders;

static void hold_task(void *context, int64_t task, int thread)
{
    (void)context, (void)task, (void)thread;
    atomic_fetch_add(&n_holding, 1);
    while (!release_holders) sched_yield();
}

static void *hold_all(void *n_threads)
{
    fov_parallel_for(*(int *)n_threads, *(int *)n_threads, hold_task, NULL);
    return NULL;
}

static void test_second_caller_gets_what_is_left(void)
{
    int limit = fov_get_num_threads() + 2, some = limit - 2 > 1 ? limit - 2 : 2;
    int n_held[] = {limit, some};
    for (int i = 0; i < 2; i++) {
        pthread_t holder;
        n_holding = release_holders = 0;
        pthread_create(&holder, NULL, hold_all, &n_held[i]);
        while (n_holding < n_held[i]) sched_yield();
        int n_used = run_tally(MAX_TASKS, limit), left = limit - n_held[i];
        CHECK(n_used <= (left > 1 ? left : 1), "%d of %d threads held, yet a second caller used %d", n_held[i], limit, n_used);
        release_holders = 1;
        pthread_join(holder, NULL);
    }
    CHECK(threads_meet(limit), "threads were not given back");
}

/* Runs `body` in a child and expects exit code 0; SIGALRM ends a child that hangs. */
static void in_child(const char *what, void (*body)(void))
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(HANG_SECONDS);
        n_failures = 0;
        body();
        fflush(stdout);
        _exit(n_failures != 0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: the child ended with %s %d", what,
          WIFSIGNALED(status) ? "signal" : "code", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void work_in_parallel(void)
{
    CHECK(strcmp(fov_threading_layer(), "openmp") != 0, "OpenMP in a forked child");
    CHECK(threads_meet(2), "two tasks did not run at the same time");
    CHECK(threads_meet(4), "four tasks did not run at the same time");
    run_tally(MAX_TASKS, 3);
}

static void work_and_fork(void)
{
    work_in_parallel();
    in_child("grandchild", work_in_parallel);
    work_in_parallel();
}

static void test_fork_while_idle(void)
{
    run_tally(100, 4);
    for (int i = 0; i < 10; i++) in_child("fork while idle", work_and_fork);
}

static _Atomic int stop_background;

static void *background_regions(void *unused)
{
    (void)unused;
    while (!stop_background) run_tally(20, 3);
    return NULL;
}

static void test_fork_inside_regions(void)
{
    pthread_t callers[2];
    stop_background = 0;
    for (int i = 0; i < 2; i++) pthread_create(&callers[i], NULL, background_regions, NULL);
    for (int i = 0; i < 60; i++) in_child("fork while others are inside", i % 10 == 0 ? work_and_fork : work_in_parallel);
    stop_background = 1;
    for (int i = 0; i < 2; i++) pthread_join(callers[i], NULL);
}

static void run_without_clone(void)
{
    struct sock_filter refuse_clone[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof refuse_clone / sizeof *refuse_clone, .filter = refuse_clone};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        printf("skipped: no seccomp filters here\n");
        return;
    }
    for (int i = 0; i < 3; i++) CHECK(run_tally(MAX_TASKS, 8) == 1, "a second thread although none can be created");
}

static rlim_t address_space_in_use(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%lu", &pages) != 1) pages = 0;
    if (file != NULL) fclose(file);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void run_short_of_memory(void)
{
    enum { TOO_MANY = 512 }; /* the stacks of the parent's threads are used again, so it must be more than those */
    rlim_t space = address_space_in_use() + (50 << 20);
    CHECK(setrlimit(RLIMIT_AS, &(struct rlimit){space, space}) == 0, "no limit set");
    CHECK(!threads_meet_within(2, TOO_MANY), "%d threads although the address space is full", TOO_MANY);
    run_tally(MAX_TASKS, MAX_THREADS);
    CHECK(threads_meet(2), "not even two threads");
}

static void exit_while_inside(void)
{
    pthread_t caller;
    pthread_create(&caller, NULL, background_regions, NULL);
    usleep(20000);
    exit(0);
}

static void run_suite(void)
{
    test_each_task_once();
    test_really_parallel();
    test_nested_is_serial();
    test_concurrent_callers();
    test_second_caller_gets_what_is_left();
    test_fork_while_idle();
    test_fork_inside_regions();
    in_child("no thread can be created", run_without_clone);
    if (!SANITIZED) /* sanitizers need the address space */
        in_child("few threads can be created", run_short_of_memory);
    for (int i = 0; i < 10; i++) in_child("exit while a thread is inside", exit_while_inside);
    printf("suite done, %s, %d failures\n", fov_threading_layer(), n_failures);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    alarm(5 * HANG_SECONDS);
    if (strcmp(fov_threading_layer(), "none") == 0) {
        test_each_task_once();
        test_nested_is_serial();
        CHECK(run_tally(MAX_TASKS, 8) == 1, "threads in a build without");
        return n_failures != 0;
    }
    run_suite();
    in_child("the suite in a forked child", run_suite);
    return n_failures != 0;
}
