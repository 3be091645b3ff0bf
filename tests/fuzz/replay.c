/* Runs the fuzzer's target on files, or on the files of folders, with any compiler: replay tests/fuzz/corpus */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 1 << 16 };

static int run_file(const char *path)
{
    static uint8_t room[MOST];
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(1);
    }
    size_t size = fread(room, 1, MOST, file);
    fclose(file);
    uint8_t *data = malloc(size); /* of its exact size */
    for (size_t i = 0; i < size; i++) data[i] = room[i];
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

static int run(const char *path)
{
    int n = 0;
    DIR *folder = opendir(path);
    if (!folder) return run_file(path);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char inside[4096];
        if (entry->d_name[0] == '.') continue;
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        n += run_file(inside);
    }
    closedir(folder);
    return n;
}

int main(int argc, char **argv)
{
    int n = 0;
    for (int i = 1; i < argc; i++) n += run(argv[i]);
    printf("%d inputs\n", n);
    return n == 0;
}
