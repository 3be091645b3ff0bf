/* The default number of threads: environment, affinity, control groups, fov_set_num_threads. The environment is read
 * once per process, so every case runs in a child. Prints what failed; the exit code is 1 then. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../csrc/include/foveate/foveate.h"
#include "../../csrc/parallel/cgroup.h"
#include "../../csrc/parallel/parallel.h"

static int n_failures;
#define CHECK(condition, ...)                                                                                                    \
    do {                                                                                                                         \
        if (!(condition)) {                                                                                                      \
            printf("line %d: ", __LINE__);                                                                                       \
            printf(__VA_ARGS__);                                                                                                 \
            printf(" (%s is false)\n", #condition);                                                                              \
            n_failures++;                                                                                                        \
        }                                                                                                                        \
    } while (0)

/* `expected_default` and `expected_most` (what a call for 1000000 gets); 0 stands for what the machine has. */
static void with_environment(const char *foveate, const char *openmp, int expected_default, int expected_most,
                             const char *in_reason)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        foveate ? setenv("FOVEATE_NUM_THREADS", foveate, 1) : unsetenv("FOVEATE_NUM_THREADS");
        openmp ? setenv("OMP_NUM_THREADS", openmp, 1) : unsetenv("OMP_NUM_THREADS");
        int has = fov_get_available_threads(), most = fov_resolve_threads(1000000);
        int wanted = expected_default == 0 ? has : expected_default;
        int wanted_most = expected_most == 0 ? has : expected_most;
        const char *reason = fov_threads_reason();
        CHECK(fov_get_num_threads() == wanted, "%s: default %d, expected %d", reason, fov_get_num_threads(), wanted);
        CHECK(fov_resolve_threads(0) == wanted, "%s: 0 resolved to %d", reason, fov_resolve_threads(0));
        CHECK(most == wanted_most, "%s: 1000000 resolved to %d, expected %d", reason, most, wanted_most);
        CHECK(fov_resolve_threads(1) == 1, "%s: 1 resolved to %d", reason, fov_resolve_threads(1));
        CHECK(strstr(reason, in_reason) != NULL, "\"%s\" does not say \"%s\"", reason, in_reason);
        CHECK(atoi(reason) == wanted, "\"%s\" does not begin with %d", reason, wanted);
        fflush(stdout);
        _exit(n_failures != 0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(status == 0, "FOVEATE_NUM_THREADS=%s OMP_NUM_THREADS=%s failed", foveate ? foveate : "(unset)",
          openmp ? openmp : "(unset)");
}

static void test_environment(void)
{
    with_environment(NULL, NULL, 0, 0, "FOVEATE_NUM_THREADS not set, OMP_NUM_THREADS not set");
    with_environment("", "", 0, 0, "FOVEATE_NUM_THREADS not set");
    with_environment("1", NULL, 1, 0, "FOVEATE_NUM_THREADS is 1");
    with_environment(" 1 ", NULL, 1, 0, "FOVEATE_NUM_THREADS is 1");
    with_environment(NULL, "1", 1, 0, "OMP_NUM_THREADS is 1");
    with_environment(NULL, "1,4", 1, 0, "OMP_NUM_THREADS is 1");
    with_environment(NULL, "1000", 0, 0, "OMP_NUM_THREADS is 1000");
    static const char *const invalid[] = {"0", "-2", "abc", "2x", "1.5", "2,2", "0x2", " ", "+"};
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
        with_environment(invalid[i], NULL, 0, 0, "FOVEATE_NUM_THREADS ignored");
    with_environment("nonsense", "1", 1, 0, "FOVEATE_NUM_THREADS ignored");
    with_environment(NULL, "nonsense", 0, 0, "OMP_NUM_THREADS ignored");
    with_environment("99999999999999999999", NULL, 1024, 1024, "FOVEATE_NUM_THREADS is 1024");
    with_environment("500", "1", 500, 500, "FOVEATE_NUM_THREADS is 500, OMP_NUM_THREADS is 1");
}

static void run_with_one_cpu(void)
{
    cpu_set_t cpus;
    int first = 0;
    sched_getaffinity(0, sizeof cpus, &cpus);
    while (!CPU_ISSET(first, &cpus)) first++;
    CPU_ZERO(&cpus);
    CPU_SET(first, &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
    CHECK(fov_get_available_threads() == 1, "%d threads on one CPU", fov_get_available_threads());
    CHECK(fov_get_num_threads() == 1 && fov_resolve_threads(8) == 1, "more than one thread on one CPU");
    CHECK(strstr(fov_threads_reason(), "affinity allows 1 CPU,") != NULL, "reason \"%s\"", fov_threads_reason());
}

static void run_set_num_threads(void)
{
    int before = fov_get_num_threads(), has = fov_get_available_threads();
    fov_set_num_threads(1);
    CHECK(fov_get_num_threads() == 1, "%d after fov_set_num_threads(1)", fov_get_num_threads());
    CHECK(fov_resolve_threads(has) == has, "%d threads for a call that asks for %d", fov_resolve_threads(has), has);
    CHECK(strstr(fov_threads_reason(), "set_num_threads(1)") != NULL, "reason \"%s\"", fov_threads_reason());
    fov_set_num_threads(1000000);
    CHECK(fov_get_num_threads() == has, "%d, but the machine has %d", fov_get_num_threads(), has);
    for (int n = 0; n >= -1; n--) {
        fov_set_num_threads(1);
        fov_set_num_threads(n);
        CHECK(fov_get_num_threads() == before, "%d after fov_set_num_threads(%d)", fov_get_num_threads(), n);
    }
}

static void in_child(const char *what, void (*body)(void))
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        unsetenv("FOVEATE_NUM_THREADS");
        unsetenv("OMP_NUM_THREADS");
        body();
        fflush(stdout);
        _exit(n_failures != 0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(status == 0, "%s failed", what);
}

static char tree[] = "/tmp/foveate-cgroup-XXXXXX";

static const char *in_tree(const char *name)
{
    static char path[4][256];
    static int turn;
    snprintf(path[turn = (turn + 1) % 4], sizeof path[0], "%s%s", tree, name);
    return path[turn];
}

static void make_folder(const char *name) { mkdir(in_tree(name), 0700); }

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(in_tree(name), "w");
    CHECK(file != NULL && fputs(text, file) >= 0, "cannot write %s", in_tree(name));
    if (file != NULL) fclose(file);
}

/* `root`: which folder of the hierarchy stands at the mount point. */
static int cpus_of(const char *root, const char *membership)
{
    char mounts[1024];
    snprintf(mounts, sizeof mounts,
             "20 1 8:1 / / rw - ext4 /dev/sda rw\n"
             "31 20 0:28 %s %s/v1set rw shared:9 - cgroup cgroup rw,cpuset\n"
             "32 20 0:29 %s %s/v1 rw shared:9 master:1 - cgroup cgroup rw,cpu,cpuacct\n"
             "33 20 0:30 %s %s/v2 rw - cgroup2 cgroup2 rw,nsdelegate\n",
             root, tree, root, tree, root, tree);
    write_file("/mountinfo", mounts);
    write_file("/membership", membership);
    return fov_cgroup_cpus(in_tree("/membership"), in_tree("/mountinfo"));
}

static void test_cgroups(void)
{
    CHECK(mkdtemp(tree) != NULL, "no temporary folder");
    static const char *const folders[] = {"/v1", "/v1/a", "/v1/a/b", "/v1set", "/v1set/a", "/v2", "/v2/a", "/v2/a/b", "/v2/max"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) make_folder(folders[i]);
    write_file("/v2/a/cpu.max", "350000 100000\n");
    write_file("/v2/a/b/cpu.max", "max 100000\n");
    write_file("/v2/max/cpu.max", "max 100000\n");
    write_file("/v1/a/cpu.cfs_quota_us", "-1\n");
    write_file("/v1/a/cpu.cfs_period_us", "100000\n");
    write_file("/v1/a/b/cpu.cfs_quota_us", "50000\n");
    write_file("/v1/a/b/cpu.cfs_period_us", "100000\n");
    write_file("/v1set/a/cpu.cfs_quota_us", "100000\n"); /* not the cpu controller: must not be read */
    write_file("/v1set/a/cpu.cfs_period_us", "100000\n");

    static const struct {
        const char *root, *membership;
        int cpus;
    } cases[] = {
        {"/", "0::/\n", 0},                              /* the root has no quota */
        {"/", "0::/max\n", 0},                           /* "max" */
        {"/", "0::/a\n", 3},                             /* 3.5 CPUs */
        {"/", "0::/a/b\n", 3},                           /* inherited from above */
        {"/", "0::/a/b/gone\n", 3},                      /* a folder that is not there */
        {"/", "4:cpu,cpuacct:/a\n", 0},                  /* -1 */
        {"/", "4:cpu,cpuacct:/a/b\n", 1},                /* half a CPU */
        {"/", "7:cpuset:/a\n4:cpuacct,cpu:/a\n", 0},     /* cpuset is not cpu */
        {"/", "4:cpu,cpuacct:/a/b\n0::/a\n", 1},         /* both versions: the tighter one */
        {"/", "4:cpu,cpuacct:/a\n0::/a\n", 3},
        {"/docker/x", "0::/docker/x/a\n", 3},            /* a container that sees the host's paths */
        {"/docker/x", "0::/docker/xy/a\n", 0},           /* not below the root of the mount */
        {"/", "", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int cpus = cpus_of(cases[i].root, cases[i].membership);
        CHECK(cpus == cases[i].cpus, "root %s, membership %s: %d CPUs, expected %d", cases[i].root, cases[i].membership, cpus,
              cases[i].cpus);
    }
    write_file("/v2/cpu.max", "200000 100000\n"); /* the container's own group is the mount point itself */
    CHECK(cpus_of("/docker/x", "0::/docker/x\n") == 2, "the quota at the mount point was not read");
    CHECK(fov_cgroup_cpus("/nonexistent", "/nonexistent") == 0, "a quota out of nowhere");

    char command[64];
    snprintf(command, sizeof command, "rm -r %s", tree);
    CHECK(system(command) == 0, "cannot remove %s", tree);
}

int main(int n_arguments, char **arguments)
{
    (void)n_arguments;
    if (getenv("OMP_NUM_THREADS") != NULL || getenv("FOVEATE_NUM_THREADS") != NULL) {
        unsetenv("OMP_NUM_THREADS"); /* libgomp has read it already: begin again without */
        unsetenv("FOVEATE_NUM_THREADS");
        execv("/proc/self/exe", arguments);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    test_cgroups();
    if (strcmp(fov_threading_layer(), "none") == 0) {
        CHECK(fov_get_num_threads() == 1 && fov_resolve_threads(8) == 1, "threads in a build without");
        return n_failures != 0;
    }
    test_environment();
    in_child("one CPU", run_with_one_cpu);
    in_child("fov_set_num_threads", run_set_num_threads);
    return n_failures != 0;
}
