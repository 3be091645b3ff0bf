"""Callbacks of the caller on tiles of logits: addresses from _callbacks.py. Included by _core.pyx."""


cdef int place_callbacks(fov_attention_args *a, object modifier, object tile_mask) except -1:
    """The two arguments keep alive what their addresses point to."""
    from foveate import _callbacks  # which takes capsules apart with this module
    if modifier is not None:
        found = _callbacks.resolve("modifier", modifier)
        a.modifier = <fov_modifier_fn><uintptr_t>found.function
        a.modifier_user = <void *><uintptr_t>found.user_data
    if tile_mask is not None:
        found = _callbacks.resolve("tile_mask", tile_mask)
        a.tile_mask = <fov_tile_mask_fn><uintptr_t>found.function
        a.tile_mask_user = <void *><uintptr_t>found.user_data
    return 0


def capsule_parts(capsule):
    """(name, pointer, context) of a PyCapsule, the last two as addresses."""
    cdef const char *name = PyCapsule_GetName(capsule)
    cdef void *pointer = PyCapsule_GetPointer(capsule, name)
    cdef void *context = PyCapsule_GetContext(capsule)
    return "" if name == NULL else name.decode(), <uintptr_t>pointer, <uintptr_t>context
