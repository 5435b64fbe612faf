# Finds the CUDA toolkit: Nvcc_FOUND, NVCC_EXECUTABLE, NVCC_INCLUDE_DIR, NVCC_LIBRARY_DIR, NVCC_ARCHITECTURES ("75;80;...");
# NCCL_INCLUDE_DIR where NCCL's header is there, too.
#
# eddl_add_cuda_object(OBJECT SOURCE FLAGS ...) compiles a .cu file; OBJECT is the variable that gets the object's path.
# CMake's own CUDA language would link the static runtime and compile for one list of architectures everywhere.
find_program(NVCC_EXECUTABLE nvcc HINTS /usr/local/cuda/bin)
if(NVCC_EXECUTABLE)
  cmake_path(GET NVCC_EXECUTABLE PARENT_PATH nvcc_folder)
  find_path(NVCC_INCLUDE_DIR cuda_runtime_api.h HINTS ${nvcc_folder}/../include)
  find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${nvcc_folder}/../include) # comes apart; optional
  find_path(NVCC_LIBRARY_DIR libcudart.so HINTS ${nvcc_folder}/../lib64)
  execute_process(COMMAND ${NVCC_EXECUTABLE} --list-gpu-arch OUTPUT_VARIABLE nvcc_architectures ERROR_QUIET)
  string(REGEX MATCHALL "[0-9]+" NVCC_ARCHITECTURES "${nvcc_architectures}")
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Nvcc
  REQUIRED_VARS NVCC_EXECUTABLE NVCC_INCLUDE_DIR NVCC_LIBRARY_DIR NVCC_ARCHITECTURES)

function(eddl_add_cuda_object object source)
  cmake_path(GET source STEM stem)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${stem}.cu.o)
  cmake_path(ABSOLUTE_PATH source OUTPUT_VARIABLE absolute)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CCACHE_PROGRAM} ${NVCC_EXECUTABLE} -std=c++20 -O3 -Werror all-warnings -ccbin ${CMAKE_CXX_COMPILER}
            -Xcompiler -fPIC,-fvisibility=hidden -I${CMAKE_SOURCE_DIR} ${ARGN} -MD -MF ${output}.d -c ${absolute}
            -o ${output}
    DEPENDS ${absolute}
    DEPFILE ${output}.d
    COMMENT "Compiling CUDA ${source}"
    VERBATIM)
  set(${object} ${output} PARENT_SCOPE)
endfunction()
