/* Every kernel of every ISA that this machine runs, alone, against plain loops in a wider type. */
#include <stdio.h>

#include "dispatch/dispatch.h"
#include "kernel_block.h"

static void test_table(const fov_isa *isa, const fov_kernels *kernels, int real)
{
    suite suite = {.isa = isa, .kernels = kernels, .real = real, .u = dtype_roundoff(real), .flushed = dtype_tiny(real)};
    check_begin("%s %s table", isa->name, dtype_name(real));
    check(kernels->real_bytes == (int)dtype_size(real), "real_bytes is %d", kernels->real_bytes);
    check(kernels->vector_lanes >= 1 && kernels->max_vectors >= 1, "%d lanes, %d vectors", kernels->vector_lanes,
          kernels->max_vectors);
    test_scores(&suite);
    test_modifiers(&suite);
    test_totals(&suite);
    test_norms(&suite);
    test_activations(&suite);
    test_elementwise(&suite);
    test_lists(&suite);
    test_solvers(&suite);
    test_combines(&suite);
    test_moves(&suite);
    test_stored(&suite);
    test_tile_products(&suite);
    test_tile_rows(&suite);
    test_tile_planes(&suite);
    test_environment(&suite);
}

int main(void)
{
    for (int i = 0; fov_isa_name(i) != NULL; i++) {
        const fov_isa *isa = fov_compiled_isa(i);
        if (!fov_isa_available(i)) {
            printf("%s: this machine cannot run it\n", fov_isa_name(i));
            continue;
        }
        check_begin("%s tile registers", isa->name);
        check(!isa->tiles || fov_tiles_ready(isa), "the operating system refuses them, or they are wrong");
        test_table(isa, isa->f32, FOV_F32);
        test_table(isa, isa->f64, FOV_F64);
    }
    return check_report();
}
