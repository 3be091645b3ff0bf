# The one table: ISA -> processor -> compiler flags. Best first; `scalar` needs no flags and always builds.
# An ISA is a documented bundle of features; csrc/dispatch/cpu.c detects the same bundles at run time.
set(FOVEATE_ISA_TABLE
  "amx|x86|-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c -mprefer-vector-width=512"
  "avx512|x86|-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c -mprefer-vector-width=512"
  "avx2|x86|-mavx2 -mfma -mf16c"
  "neon|aarch64|"
  "scalar|any|")

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|i[3-6]86)$")
  set(FOVEATE_PROCESSOR x86)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
  set(FOVEATE_PROCESSOR aarch64)
else()
  set(FOVEATE_PROCESSOR other)
endif()

include(CheckCCompilerFlag)
include(CheckCSourceCompiles)

# Tile instructions are assembly: the assembler has to know them, not the compiler.
check_c_source_compiles([[
#if !defined(__x86_64__)
#error "AMX is for x86-64"
#endif
int main(void)
{
    __asm__ volatile("tdpbf16ps %tmm6, %tmm4, %tmm0");
    return 0;
}
]] FOVEATE_ASSEMBLER_HAS_AMX)
option(FOVEATE_EMULATE_AMX "tests: tile instructions in plain C, taken as present; slow, never for users" OFF)

# foveate_add_isas(<target>): compiles csrc/kernels/isa/isa_<isa>.c once per ISA with its own flags into <target>,
# defines FOVEATE_HAVE_<ISA> for the dispatch, and leaves the objects in FOVEATE_ISA_OBJECTS.
function(foveate_add_isas target)
  foreach(row IN LISTS FOVEATE_ISA_TABLE)
    string(REGEX MATCH "^([^|]*)\\|([^|]*)\\|(.*)$" _ "${row}")
    set(isa "${CMAKE_MATCH_1}")
    set(processor "${CMAKE_MATCH_2}")
    set(flags "${CMAKE_MATCH_3}")
    if(NOT processor STREQUAL "any" AND NOT processor STREQUAL FOVEATE_PROCESSOR)
      continue()
    endif()
    if(isa STREQUAL "amx" AND NOT FOVEATE_ASSEMBLER_HAS_AMX AND NOT FOVEATE_EMULATE_AMX)
      message(STATUS "foveate: the assembler lacks AMX; ISA amx is left out")
      continue()
    endif()
    string(TOUPPER "${isa}" upper)
    if(flags)
      check_c_compiler_flag("${flags}" FOVEATE_COMPILER_HAS_${upper})
      if(NOT FOVEATE_COMPILER_HAS_${upper})
        message(STATUS "foveate: the compiler lacks ${flags}; ISA ${isa} is left out")
        continue()
      endif()
    endif()
    add_library(foveate_isa_${isa} OBJECT ${PROJECT_SOURCE_DIR}/csrc/kernels/isa/isa_${isa}.c)
    foveate_compile_options(foveate_isa_${isa})
    separate_arguments(flag_list UNIX_COMMAND "${flags}")
    target_compile_options(foveate_isa_${isa} PRIVATE ${flag_list})
    if(FOVEATE_EMULATE_AMX)
      target_compile_definitions(foveate_isa_${isa} PRIVATE FOVEATE_EMULATE_AMX=1)
    endif()
    # No link-time optimisation across ISAs: the linker could keep the wrong copy of an inlined function.
    set_target_properties(foveate_isa_${isa} PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:foveate_isa_${isa}>)
    list(APPEND objects $<TARGET_OBJECTS:foveate_isa_${isa}>)
    target_compile_definitions(${target} PRIVATE FOVEATE_HAVE_${upper}=1)
    list(APPEND built ${isa})
  endforeach()
  set(FOVEATE_ISA_OBJECTS ${objects} PARENT_SCOPE)
  string(JOIN " " built ${built})
  message(STATUS "foveate: ISAs ${built}")
endfunction()
