/* The floating point environment of a task on aarch64. */
#ifndef FOV_FPCR_H
#define FOV_FPCR_H

#include <stdint.h>

/* FPCR 0: round to nearest, no flush to zero (FZ would flush inputs too: a tiny query times a huge key must count), no traps. */
FOV_INLINE uint64_t vec_enter(void)
{
    uint64_t saved, zero = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
    __asm__ volatile("msr fpcr, %0" : : "r"(zero));
    return saved;
}
FOV_INLINE void vec_leave(uint64_t saved) { __asm__ volatile("msr fpcr, %0" : : "r"(saved)); }

#endif
