#include "dispatch/cpu.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* A feature counts only when the CPU has it AND the operating system saves its registers: a virtual machine may show
 * the AVX bit without xgetbv (numpy #15342), or AVX2 without AVX (numpy #9532). */
enum {
    HAS_SSE2 = 1,
    HAS_AVX = 2,
    HAS_FMA = 4,
    HAS_F16C = 8,
    HAS_AVX2 = 16,
    HAS_AVX512 = 32, /* F, BW, DQ, VL together */
    HAS_AVX512_BF16 = 64,
    HAS_AVX512_FP16 = 128,
    HAS_AMX_TILE = 256,
    HAS_AMX_BF16 = 512,
    HAS_NEON = 1024
};
#ifdef FOVEATE_EMULATE_AMX
enum { AMX_BITS = 0 }; /* simd/tile_amx.h does in C what the instructions would */
#else
enum { AMX_BITS = HAS_AMX_TILE | HAS_AMX_BF16 };
#endif

static const struct {
    uint32_t bit;
    const char *name;
} feature_names[] = {
    {HAS_SSE2, "sse2"},
    {HAS_AVX, "avx"},
    {HAS_FMA, "fma"},
    {HAS_F16C, "f16c"},
    {HAS_AVX2, "avx2"},
    {HAS_AVX512, "avx512(f,bw,dq,vl)"},
    {HAS_AVX512_BF16, "avx512_bf16"},
    {HAS_AVX512_FP16, "avx512_fp16"},
    {HAS_AMX_TILE, "amx_tile"},
    {HAS_AMX_BF16, "amx_bf16"},
    {HAS_NEON, "neon"},
};

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

static uint64_t saved_by_os(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static uint32_t detect(void)
{
    uint32_t a, b, c, d, found = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    if (d & bit_SSE2) found |= HAS_SSE2;
    if (!(c & bit_OSXSAVE)) return found;
    uint64_t os = saved_by_os();
    if ((os & 0x6) != 0x6 || !(c & bit_AVX)) return found; /* xmm and ymm */
    found |= HAS_AVX;
    if (c & bit_FMA) found |= HAS_FMA;
    if (c & bit_F16C) found |= HAS_F16C;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
    uint32_t eax7_1 = 0, b1, c1, d1, wide = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if (a >= 1) __get_cpuid_count(7, 1, &eax7_1, &b1, &c1, &d1);
    if (b & bit_AVX2) found |= HAS_AVX2;
    if ((os & 0xe6) == 0xe6 && (b & wide) == wide) { /* opmask, high halves, high registers */
        found |= HAS_AVX512;
        if (eax7_1 & 1u << 5) found |= HAS_AVX512_BF16;
        if (d & 1u << 23) found |= HAS_AVX512_FP16;
    }
    if ((os & 0x60000) == 0x60000) { /* tile configuration and tile data */
        if (d & 1u << 24) found |= HAS_AMX_TILE;
        if (d & 1u << 22) found |= HAS_AMX_BF16;
    }
    return found;
}
#elif defined(__aarch64__)
static uint32_t detect(void) { return HAS_NEON; } /* part of the base architecture */
#else
static uint32_t detect(void) { return 0; }
#endif

static uint32_t features(void)
{
    static _Atomic uint32_t known; /* bit 31: detected; a race detects twice, to the same end */
    uint32_t found = atomic_load_explicit(&known, memory_order_relaxed);
    if (!found) {
        found = detect() | 1u << 31;
        atomic_store_explicit(&known, found, memory_order_relaxed);
    }
    return found;
}

int fov_cpu_runs(const char *isa)
{
    uint32_t need = 0, avx2 = HAS_AVX | HAS_AVX2 | HAS_FMA | HAS_F16C;
    if (strcmp(isa, "amx") == 0) need = avx2 | HAS_AVX512 | AMX_BITS;
    else if (strcmp(isa, "avx512") == 0) need = avx2 | HAS_AVX512;
    else if (strcmp(isa, "avx2") == 0) need = avx2;
    else if (strcmp(isa, "neon") == 0) need = HAS_NEON;
    return (features() & need) == need;
}

const char *fov_cpu_feature_list(void)
{
    static _Thread_local char text[160];
    text[0] = 0;
    for (size_t i = 0; i < sizeof feature_names / sizeof *feature_names; i++)
        if (features() & feature_names[i].bit) {
            if (text[0]) strcat(text, " ");
            strcat(text, feature_names[i].name); /* all names together take 101 bytes */
        }
    return text;
}

int fov_cpu_permits_amx(void)
{
#if defined(FOVEATE_EMULATE_AMX)
    return getenv("FOVEATE_EMULATED_AMX_REFUSED") == NULL;
#elif defined(__x86_64__) && defined(__linux__)
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return fov_cpu_has_amx() && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return 0;
#endif
}

int fov_cpu_has_amx(void) { return (features() & HAS_AMX_TILE) != 0; }
