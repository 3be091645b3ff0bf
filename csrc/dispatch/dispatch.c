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

/* Tile registers: the operating system grants them to a process that asks, after which it refuses small signal stacks. So nobody asks
 * before a call needs them, and what was found out holds for good; a race finds it out twice, to the same end. */
typedef enum tile_state { NOT_ASKED, READY, REFUSED, WRONG } tile_state;
static _Atomic int tiles_are;

static tile_state known_tiles(void) { return (tile_state)atomic_load_explicit(&tiles_are, memory_order_acquire); }

/* Nothing of an ISA with tiles is wrong before it was tried. */
static int runs(const fov_isa *isa) { return fov_cpu_runs(isa->name) && (!isa->tiles || known_tiles() <= READY); }

int fov_tiles_ready(const fov_isa *isa)
{
    tile_state state = known_tiles();
    if (state == NOT_ASKED) {
        state = !fov_cpu_permits_amx() ? REFUSED : isa->tiles->check() ? READY : WRONG;
        atomic_store_explicit(&tiles_are, state, memory_order_release);
    }
    if (state == READY) return 1;
    const fov_isa *failed = isa; /* the next call chooses anew */
    atomic_compare_exchange_strong(&active, &failed, NULL);
    return 0;
}

static const fov_isa *compiled(const char *name)
{
    for (int i = 0; i < N_ISAS; i++)
        if (strcmp(isas[i]->name, name) == 0) return isas[i];
    return NULL;
}

/* Who names an ISA gets it or an error: tile registers are asked for at once. */
static const fov_isa *find(const char *name, fov_status *status)
{
    const fov_isa *isa = compiled(name);
    *status = FOV_ERROR_ISA_UNKNOWN;
    if (!isa) return NULL;
    int can = runs(isa) && (!isa->tiles || fov_tiles_ready(isa));
    *status = can ? FOV_OK : FOV_ERROR_ISA_UNAVAILABLE;
    return can ? isa : NULL;
}

/* FOVEATE_ISA where it is set, else the best. A wrong FOVEATE_ISA stays an error at every use: nobody should measure or test
 * an ISA other than the one he asked for. */
static const fov_isa *choose(fov_status *status)
{
    const char *forced = getenv("FOVEATE_ISA");
    if (forced && *forced && strcmp(forced, "auto") != 0) return find(forced, status);
    *status = FOV_OK;
    for (int i = 0; i < N_ISAS; i++)
        if (runs(isas[i])) return isas[i];
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

int fov_f32_by_tiles(fov_status *status)
{
    enum { UNKNOWN, FMA, AMX };
    static _Atomic int found; /* getenv() takes 20 ns, and the variable is that of the process */
    int by = atomic_load_explicit(&found, memory_order_relaxed);
    *status = FOV_OK;
    if (by == UNKNOWN) {
        const char *asked = getenv("FOVEATE_F32");
        if (asked && strcmp(asked, "amx") == 0) by = AMX;
        else if (!asked || !*asked || strcmp(asked, "fma") == 0) by = FMA;
        else *status = FOV_ERROR_ARGUMENT; /* at every call, as for FOVEATE_ISA */
        atomic_store_explicit(&found, by, memory_order_relaxed);
    }
    return by == AMX;
}

const fov_isa *fov_compiled_isa(int index) { return index >= 0 && index < N_ISAS ? isas[index] : NULL; }

const char *fov_isa_name(int index) { return index >= 0 && index < N_ISAS ? isas[index]->name : NULL; }

int fov_isa_available(int index) { return index >= 0 && index < N_ISAS && runs(isas[index]); }

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

#ifdef FOVEATE_EMULATE_AMX
#define FOV_TILES "emulated, "
#else
#define FOV_TILES
#endif

const char *fov_amx_state(void)
{
    static const char *const words[] = {[NOT_ASKED] = FOV_TILES "present, not asked for yet",
                                        [READY] = FOV_TILES "in use",
                                        [REFUSED] = FOV_TILES "refused by the operating system",
                                        [WRONG] = FOV_TILES "its products are wrong"};
    if (compiled("amx") && fov_cpu_runs("amx")) return words[known_tiles()];
    return fov_cpu_has_amx() ? "present, not used by this build" : "absent";
}
