/* The callbacks of a caller: modifier, tile mask, threads of his own. Each checks what it is given and aborts on nonsense. */
#ifndef FUZZ_HOSTS_H
#define FUZZ_HOSTS_H

#include "choices.h"
#include "foveate/foveate.h"

typedef struct host {
    const fov_attention_args *args;
    int64_t batch;
    int modifies;             /* 0: nothing, 1: adds 1/4, 2: masks each third key */
    int64_t dead_from;        /* tiles that begin at or beyond this key are dead */
    int32_t *cancel;          /* set after `calls_left` modified tiles */
    int32_t calls_left;
    int order;                /* of the tasks: 0 upwards, 1 downwards, 2 on two threads */
} host;

/* Sets the callbacks of args, maybe none; 0: they may make a result that is not finite. */
int host_make(host *h, choices *in, fov_attention_args *args, int64_t batch, int32_t *cancel);
/* Says what is wrong and ends the program. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
