/* The same bits, wherever arrays, integers per batch element and states lie; the sanitizer watches every access. */
#include "odd_addresses.h"

#include <math.h>
#include <string.h>

#include "check.h"
#include "full_call.h"

static void check_call(const char *isa, int odd)
{
    static full_call plain, moved;
    check_begin("arrays %d bytes off, %s", odd, isa);
    full_call_make(&plain, 0);
    full_call_make(&moved, odd);
    check(full_call_run(&plain) == FOV_OK, "%s", fov_last_problem());
    check(full_call_run(&moved) == FOV_OK, "%s", fov_last_problem());
    check(!full_call_is_untouched(&moved), "no result was written");
    for (int i = FIRST_RESULT; i < N_ARRAYS; i++) {
        int before = 0;
        for (int k = 0; k < odd; k++) before |= moved.arrays[i][k] != CANARY;
        check(!before, "bytes before array %d were written", i);
        check(memcmp(plain.arrays[i], moved.arrays[i] + odd, ROOM - 16) == 0, "array %d has other bits", i);
    }
}

enum { ROWS = 3, STATE_DIM = 5 };

static void check_merge(int dtype, int odd)
{
    const size_t item = dtype == FOV_F64 ? 8 : 4, bytes = (size_t)ROWS * STATE_DIM * item;
    char plain[6][ROWS * STATE_DIM * 8 + 16], moved[6][ROWS * STATE_DIM * 8 + 16]; /* a, b, into: output, lse */
    random_state random = {11};
    check_begin("states %d bytes off, %s", odd, dtype == FOV_F64 ? "f64" : "f32");
    memset(plain, CANARY, sizeof plain);
    memset(moved, CANARY, sizeof moved);
    for (int part = 0; part < 4; part++)
        for (int i = 0; i < ROWS * STATE_DIM; i++) {
            double x = i == 1 && part == 1 ? -(double)INFINITY : random_uniform(&random, -3, 3);
            float narrow = (float)x;
            memcpy(plain[part] + (size_t)i * item, dtype == FOV_F64 ? (void *)&x : (void *)&narrow, item);
        }
    for (int part = 0; part < 4; part++) memcpy(moved[part] + odd, plain[part], bytes);
    fov_state at[3], off[3];
    for (int i = 0; i < 3; i++) {
        at[i] = (fov_state){plain[2 * i], plain[2 * i + 1]};
        off[i] = (fov_state){moved[2 * i] + odd, moved[2 * i + 1] + odd};
    }
    check(fov_merge(dtype, ROWS, STATE_DIM, &at[0], &at[1], &at[2]) == FOV_OK, "%s", fov_last_problem());
    check(fov_merge(dtype, ROWS, STATE_DIM, &off[0], &off[1], &off[2]) == FOV_OK, "%s", fov_last_problem());
    check((unsigned char)plain[4][0] != CANARY || (unsigned char)plain[4][1] != CANARY, "no output was written");
    check(memcmp(plain[4], moved[4] + odd, bytes) == 0, "the output has other bits");
    check(memcmp(plain[5], moved[5] + odd, ROWS * item) == 0, "the lse has other bits");
}

void test_odd_addresses(void)
{
    for (int i = 0; fov_isa_name(i); i++) {
        if (!fov_isa_available(i)) continue;
        check_begin("fov_set_isa(\"%s\")", fov_isa_name(i));
        check(fov_set_isa(fov_isa_name(i)) == FOV_OK, "refused");
        for (int odd = 1; odd < 16; odd++) check_call(fov_isa_name(i), odd);
    }
    for (int odd = 0; odd < 8; odd++) {
        check_merge(FOV_F32, odd);
        check_merge(FOV_F64, odd);
    }
}
