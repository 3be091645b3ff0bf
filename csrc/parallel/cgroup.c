/* Where quotas stand:
 *     v2: <mount of cgroup2><path>/cpu.max               "200000 100000" or "max 100000"
 *     v1: <mount of the cpu controller><path>/cpu.cfs_quota_us and cpu.cfs_period_us     200000 or -1
 * and in every folder above, each of which limits all that is below it.
 */
#include "cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_LENGTH = 4096 };

/* A text file read without stdio, whose buffers come from malloc: quotas are read inside calls, which allocate nothing. */
typedef struct lines {
    int file;
    size_t at, end;
    char buffer[1024];
} lines;

static int open_lines(lines *l, const char *path)
{
    l->at = l->end = 0;
    l->file = open(path, O_RDONLY | O_CLOEXEC);
    return l->file >= 0;
}

/* The next line without its end, cut to `size`; 0 after the last. */
static int next_line(lines *l, char *line, size_t size)
{
    for (size_t n = 0;; l->at++) {
        if (l->at == l->end) {
            ssize_t got = read(l->file, l->buffer, sizeof l->buffer);
            l->at = 0;
            l->end = got > 0 ? (size_t)got : 0;
            if (l->end == 0) return line[n] = '\0', n > 0;
        }
        char c = l->buffer[l->at];
        if (c == '\n') return l->at++, line[n] = '\0', 1;
        if (n + 1 < size) line[n++] = c;
    }
}

/* Whole CPUs, 0 for no quota. */
static int whole_cpus(long long quota, long long period)
{
    if (quota <= 0 || period <= 0) return 0;
    long long cpus = quota / period;
    return cpus < 1 ? 1 : cpus > INT_MAX ? INT_MAX : (int)cpus;
}

static int read_line(const char *folder, const char *name, char *line, size_t size)
{
    char path[2 * LINE_LENGTH + 32];
    lines file;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!open_lines(&file, path)) return 0;
    int found = next_line(&file, line, size);
    close(file.file);
    return found;
}

static int quota_of_folder(const char *folder, int version)
{
    char line[64];
    long long quota = 0, period = 0;
    if (version == 2) {
        if (!read_line(folder, "cpu.max", line, sizeof line) || sscanf(line, "%lld %lld", &quota, &period) != 2) return 0;
    } else {
        if (!read_line(folder, "cpu.cfs_quota_us", line, sizeof line) || sscanf(line, "%lld", &quota) != 1) return 0;
        if (!read_line(folder, "cpu.cfs_period_us", line, sizeof line) || sscanf(line, "%lld", &period) != 1) return 0;
    }
    return whole_cpus(quota, period);
}

/* 0 stands for no quota, so the smaller one is not simply the minimum. */
static int tighter(int a, int b)
{
    if (a == 0 || b == 0) return a + b;
    return a < b ? a : b;
}

static int has_word(const char *comma_list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = comma_list; (at = strstr(at, word)) != NULL; at++)
        if ((at == comma_list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0')) return 1;
    return 0;
}

/* The path of this process in the hierarchy: lines "4:cpu,cpuacct:/a/b" (v1) and "0::/a/b" (v2). */
static int find_path(const char *cgroup_file, int version, char *path)
{
    char line[LINE_LENGTH];
    int found = 0;
    lines file;
    if (!open_lines(&file, cgroup_file)) return 0;
    while (!found && next_line(&file, line, sizeof line)) {
        char *controllers = strchr(line, ':');
        char *start = controllers ? strchr(controllers + 1, ':') : NULL;
        if (start == NULL) continue;
        *start++ = '\0';
        controllers++;
        if (version == 2 ? *controllers == '\0' : has_word(controllers, "cpu")) {
            snprintf(path, LINE_LENGTH, "%s", start);
            found = 1;
        }
    }
    close(file.file);
    return found;
}

/* Lines "31 23 0:28 <root> <mount point> rw,... [optional] - <type> <source> <options>". */
static int find_mount(const char *mountinfo_file, int version, char *root, char *mount)
{
    char line[LINE_LENGTH];
    int found = 0;
    lines file;
    if (!open_lines(&file, mountinfo_file)) return 0;
    while (!found && next_line(&file, line, sizeof line)) {
        char type[32], options[256];
        const char *tail = strstr(line, " - ");
        if (tail == NULL || sscanf(tail, " - %31s %*s %255s", type, options) != 2) continue;
        if (version == 2 ? strcmp(type, "cgroup2") == 0 : strcmp(type, "cgroup") == 0 && has_word(options, "cpu"))
            found = sscanf(line, "%*s %*s %*s %4095s %4095s", root, mount) == 2;
    }
    close(file.file);
    return found;
}

static int quota_of_hierarchy(const char *cgroup_file, const char *mountinfo_file, int version)
{
    char path[LINE_LENGTH], root[LINE_LENGTH], folder[2 * LINE_LENGTH];
    if (!find_path(cgroup_file, version, path) || !find_mount(mountinfo_file, version, root, folder)) return 0;

    /* The mount shows the hierarchy from `root` down (a container's own group); what is above cannot be seen. */
    size_t root_length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    size_t mount_length = strlen(folder);
    if (strncmp(path, root, root_length) == 0 && path[root_length] == '/')
        snprintf(folder + mount_length, sizeof folder - mount_length, "%s", path + root_length);

    int cpus = quota_of_folder(folder, version);
    for (char *slash; (slash = strrchr(folder, '/')) != NULL && (size_t)(slash - folder) >= mount_length;) {
        *slash = '\0';
        cpus = tighter(cpus, quota_of_folder(folder, version));
    }
    return cpus;
}

int fov_cgroup_cpus(const char *cgroup_file, const char *mountinfo_file)
{
    return tighter(quota_of_hierarchy(cgroup_file, mountinfo_file, 2), quota_of_hierarchy(cgroup_file, mountinfo_file, 1));
}
