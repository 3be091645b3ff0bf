/* The floating point environment of a task on x86. */
#ifndef FOV_MXCSR_H
#define FOV_MXCSR_H

#include <stdint.h>
#include <xmmintrin.h>

/* MXCSR 0x9f80: round to nearest, FTZ on, DAZ off (a tiny query times a huge key must count), exceptions masked. */
FOV_INLINE uint64_t vec_enter(void)
{
    unsigned saved = _mm_getcsr();
    _mm_setcsr(0x9f80u);
    return saved;
}
FOV_INLINE void vec_leave(uint64_t saved) { _mm_setcsr((unsigned)saved); }

#endif
