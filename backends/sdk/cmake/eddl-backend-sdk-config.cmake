# find_package(eddl-backend-sdk): what a backend plugin is built with.
#
#   eddl::sdk                   the headers: #include "eddl/eddl_backend.h", "eddl/eddl_ops.h", "eddl/op_table.h" (C++20)
#   eddl::eddl-conformance      the conformance suite, a program
#   eddl_add_backend(NAME SOURCES ...)   a plugin, see below
include(${CMAKE_CURRENT_LIST_DIR}/eddl-backend-sdk-targets.cmake)

# eddl_add_backend(NAME SOURCES ...): target eddl_backend_NAME, built as libeddl_backend_NAME.so, the file name that
# eddl-node looks for. It exports its entry alone, and what it does not define fails when it is linked, not when it is
# loaded.
function(eddl_add_backend name)
  if(NOT name MATCHES "^[a-z0-9_]+$")
    message(FATAL_ERROR "eddl_add_backend: the name '${name}' is not of the form [a-z0-9_]+")
  endif()
  set(target eddl_backend_${name})
  add_library(${target} MODULE ${ARGN})
  target_link_libraries(${target} PRIVATE eddl::sdk)
  set_target_properties(${target} PROPERTIES
    PREFIX lib
    C_VISIBILITY_PRESET hidden
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
  target_link_options(${target} PRIVATE -Wl,-z,defs -Wl,--exclude-libs,ALL)
endfunction()
