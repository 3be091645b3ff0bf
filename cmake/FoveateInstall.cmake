# What an embedder finds: headers, both libraries, a CMake package, pkg-config files. Every path in them is relative to the file that
# says it, so that the tree may be moved. A wheel has all of it in foveate/, a plain `cmake --install` in the prefix.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

if(SKBUILD)
  set(include_dir foveate/include)
  set(lib_dir foveate/lib)
else()
  set(include_dir ${CMAKE_INSTALL_INCLUDEDIR})
  set(lib_dir ${CMAKE_INSTALL_LIBDIR})
  # A wheel stores links as copies: there the one file is called as its soname is, libfoveate.so.
  set_target_properties(foveate_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0)
endif()
set(package_dir ${lib_dir}/cmake/foveate)
set(pkgconfig_dir ${lib_dir}/pkgconfig)

# The headers alone, for extensions that take the functions from the installed module.
add_library(foveate_headers INTERFACE)
set_target_properties(foveate_headers PROPERTIES EXPORT_NAME headers)
foreach(target foveate_headers foveate_core foveate_shared)
  target_include_directories(${target} INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/csrc/include>
                             $<INSTALL_INTERFACE:${include_dir}>)
endforeach()
add_library(foveate::foveate ALIAS foveate_shared) # for those who build foveate inside their own tree
add_library(foveate::foveate_static ALIAS foveate_core)
add_library(foveate::headers ALIAS foveate_headers)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/csrc/include/foveate DESTINATION ${include_dir} FILES_MATCHING PATTERN "*.h")
install(TARGETS foveate_headers foveate_core foveate_shared EXPORT foveateTargets
        ARCHIVE DESTINATION ${lib_dir} LIBRARY DESTINATION ${lib_dir} RUNTIME DESTINATION ${lib_dir})
install(EXPORT foveateTargets NAMESPACE foveate:: DESTINATION ${package_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/foveateConfig.cmake.in ${PROJECT_BINARY_DIR}/foveateConfig.cmake
                              INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
# The ABI is append-only: a newer library serves whoever asks for an older one.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/foveateConfigVersion.cmake COMPATIBILITY AnyNewerVersion)
install(FILES ${PROJECT_BINARY_DIR}/foveateConfig.cmake ${PROJECT_BINARY_DIR}/foveateConfigVersion.cmake
        DESTINATION ${package_dir})

# What libfoveate.a needs besides itself.
if(FOVEATE_THREADS_BUILT STREQUAL "openmp")
  set(FOVEATE_STATIC_LIBS "${OpenMP_C_FLAGS} -pthread -lm")
elseif(FOVEATE_THREADS_BUILT STREQUAL "pthreads")
  set(FOVEATE_STATIC_LIBS "-pthread -lm")
else()
  set(FOVEATE_STATIC_LIBS "-lm")
endif()

# pkgconfig_file(<name> <description> <libs>): paths go from the .pc file up to the directory of lib/ and include/.
function(pkgconfig_file name FOVEATE_PC_DESCRIPTION FOVEATE_PC_LIBS)
  set(prefix /any)
  file(RELATIVE_PATH FOVEATE_PC_INCLUDEDIR ${prefix}/${pkgconfig_dir} ${prefix}/${include_dir})
  configure_file(${PROJECT_SOURCE_DIR}/cmake/foveate.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${pkgconfig_dir})
endfunction()
if(SKBUILD)
  set(rpath "-Wl,-rpath,\${libdir} ") # no loader looks into a Python environment by itself
endif()
pkgconfig_file(foveate "shared library" "-L\${libdir} ${rpath}-lfoveate")
pkgconfig_file(foveate-static "static library" "\${libdir}/libfoveate.a ${FOVEATE_STATIC_LIBS}")
