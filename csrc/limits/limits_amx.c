/* AMX bf16. In assembly, not intrinsics: gcc 12's _tile_loadconfig declares 8 of its 64 bytes as input, so the compiler drops
 * stores to the rest; and this file needs no flags. */
#include "dispatch/cpu.h"
#include "limits/limits.h"
#include "limits/together.h"

#if defined(FOV_LIMITS_AMX) && defined(__x86_64__) && defined(__linux__)
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;
_Static_assert(sizeof(tile_config) == 64, "the layout of ldtilecfg");

enum { TILE_BYTES = 1024, N_SETS = 4, N_PRODUCTS = 4, PRODUCT_FLOPS = 2 * 16 * 16 * 32 };

typedef struct amx_work {
    int with_loads;
    int64_t n_rounds;
    _Alignas(64) uint16_t tiles[N_SETS * 4 * TILE_BYTES / 2]; /* 16 KiB, a third of the smallest L1 with AMX */
} amx_work;

static void configure(void)
{
    tile_config config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = 16;
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
}

#define FOV_AMX_LOADS                                                                                                            \
    "tileloadd (%0,%1,1), %%tmm4\n\ttileloadd 1024(%0,%1,1), %%tmm6\n\t"                                                         \
    "tileloadd 2048(%0,%1,1), %%tmm7\n\ttileloadd 3072(%0,%1,1), %%tmm5\n\t"
#define FOV_AMX_PRODUCTS                                                                                                         \
    "tdpbf16ps %%tmm6, %%tmm4, %%tmm0\n\ttdpbf16ps %%tmm7, %%tmm4, %%tmm1\n\t"                                                   \
    "tdpbf16ps %%tmm6, %%tmm5, %%tmm2\n\ttdpbf16ps %%tmm7, %%tmm5, %%tmm3\n\t"

static void run_amx(void *context, int i)
{
    const amx_work *w = context;
    const int64_t row_bytes = 64;
    (void)i;
    configure();
    __asm__ volatile("tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\ttilezero %%tmm3\n\t" FOV_AMX_LOADS
                     :
                     : "r"(w->tiles), "r"(row_bytes)
                     : "memory");
    if (w->with_loads)
        for (int64_t round = 0; round < w->n_rounds; round++) {
            const uint16_t *set = w->tiles + round % N_SETS * (4 * TILE_BYTES / 2);
            __asm__ volatile(FOV_AMX_LOADS FOV_AMX_PRODUCTS : : "r"(set), "r"(row_bytes) : "memory");
        }
    else
        for (int64_t round = 0; round < w->n_rounds; round++) __asm__ volatile(FOV_AMX_PRODUCTS : :);
    __asm__ volatile("tilerelease");
}

int fov_limit_amx_ready(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    if (strstr(fov_cpu_feature_list(), "amx_bf16") == NULL || !fov_cpu_has_amx()) return FOV_LIMIT_AMX_ABSENT;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 ? FOV_LIMIT_AMX_READY : FOV_LIMIT_AMX_REFUSED;
}

double fov_limit_amx(int with_loads, int n_threads, int64_t n_rounds, double *flops)
{
    amx_work work = {.with_loads = with_loads, .n_rounds = n_rounds};
    if (fov_limit_amx_ready() != FOV_LIMIT_AMX_READY) return FOV_LIMIT_NOT_RUN;
    for (size_t i = 0; i < sizeof work.tiles / sizeof *work.tiles; i++) work.tiles[i] = 0x3c00; /* 2^-7 */
    *flops = (double)PRODUCT_FLOPS * N_PRODUCTS * (double)n_rounds * n_threads;
    return fov_limit_together(n_threads, NULL, run_amx, &work);
}

#else

int fov_limit_amx_ready(void) { return fov_cpu_has_amx() ? FOV_LIMIT_AMX_NOT_COMPILED : FOV_LIMIT_AMX_ABSENT; }

double fov_limit_amx(int with_loads, int n_threads, int64_t n_rounds, double *flops)
{
    (void)with_loads, (void)n_threads, (void)n_rounds, (void)flops;
    return FOV_LIMIT_NOT_RUN;
}

#endif
