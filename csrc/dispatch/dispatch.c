#include "dispatch/dispatch.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/cpu.h"

static const fov_isa *const isas[] = {
#define FOV_ISA(name) &fov_isa_##name,
#include "kernels/kernels.def"
};
enum { N_ISAS = sizeof isas / sizeof *isas };

/* Chosen by the first call or by fov_set_isa; NULL until then. */
static _Atomic(const fov_isa *) active;

static const fov_isa *find(const char *name, fov_status *status)
{
    for (int i = 0; i < N_ISAS; i++)
        if (strcmp(isas[i]->name, name) == 0) {
            *status = fov_cpu_runs(name) ? FOV_OK : FOV_ERROR_ISA_UNAVAILABLE;
            return *status == FOV_OK ? isas[i] : NULL;
        }
    *status = FOV_ERROR_ISA_UNKNOWN;
    return NULL;
}

/* FOVEATE_ISA where it is set, else the best. A wrong FOVEATE_ISA stays an error at every use: nobody should measure or test
 * an ISA other than the one he asked for. */
static const fov_isa *choose(fov_status *status)
{
    const char *forced = getenv("FOVEATE_ISA");
    if (forced && *forced && strcmp(forced, "auto") != 0) return find(forced, status);
    *status = FOV_OK;
    for (int i = 0; i < N_ISAS; i++)
        if (fov_cpu_runs(isas[i]->name)) return isas[i];
    return isas[N_ISAS - 1]; /* scalar runs everywhere */
}

const fov_isa *fov_active_isa(fov_status *status)
{
    const fov_isa *isa = atomic_load_explicit(&active, memory_order_acquire);
    *status = FOV_OK;
    if (!isa && (isa = choose(status))) {
        const fov_isa *none = NULL; /* a concurrent fov_set_isa wins */
        if (!atomic_compare_exchange_strong(&active, &none, isa)) isa = none;
    }
    return isa;
}

const fov_isa *fov_compiled_isa(int index) { return index >= 0 && index < N_ISAS ? isas[index] : NULL; }

const char *fov_isa_name(int index) { return index >= 0 && index < N_ISAS ? isas[index]->name : NULL; }

int fov_isa_available(int index) { return index >= 0 && index < N_ISAS && fov_cpu_runs(isas[index]->name); }

fov_status fov_set_isa(const char *name)
{
    fov_status status;
    const fov_isa *isa = name && strcmp(name, "auto") != 0 ? find(name, &status) : choose(&status);
    if (isa) atomic_store_explicit(&active, isa, memory_order_release);
    return status;
}

fov_status fov_get_isa(const char **name)
{
    fov_status status;
    const fov_isa *isa = fov_active_isa(&status);
    *name = isa ? isa->name : NULL;
    return status;
}

const char *fov_cpu_features(void) { return fov_cpu_feature_list(); }

/* AMX kernels are asked for lazily, at their first use, because the permission forbids small signal stacks afterwards. */
const char *fov_amx_state(void) { return fov_cpu_has_amx() ? "present, not used by this version" : "absent"; }
