# Joins kernel files into one program and writes it as a C++ array: cmake -DFILES="a;b" -DOUTPUT=x.cc -P embed.cmake
#
# A .knl without LANES is left out where LANES is not 1: the same kernels would be compiled twice.
# Lines that are for files go (#include of kernels/, #pragma once): what is included comes first in FILES. The text is also left beside the array,
# as x.cl, to be read and to be run by other tools.
set(program "")
foreach(file IN LISTS FILES)
  file(READ ${file} text)
  string(REGEX REPLACE "#include \"kernels/[^\n]*\n|#pragma once\n" "" text "${text}")
  get_filename_component(name ${file} NAME)
  if(name MATCHES "knl$" AND NOT text MATCHES "LANES")
    set(text "#if LANES == 1\n${text}#endif\n")
  endif()
  string(APPEND program "/* ${name} */\n${text}\n")
endforeach()
string(REGEX REPLACE "\\.cc$" ".cl" text_file ${OUTPUT})
file(WRITE ${text_file} "${program}")
file(READ ${text_file} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "0x0a," "0x0a,\n" bytes "${bytes}") # a line of the program is a line of the array
file(WRITE ${OUTPUT} "// Written by kernels/embed.cmake.
#include \"kernels/program.h\"

namespace eddl::kernels {
namespace {
constexpr unsigned char kBytes[] = {
${bytes}};
}  // namespace

std::string_view KernelProgram() { return {reinterpret_cast<const char*>(kBytes), sizeof(kBytes)}; }

}  // namespace eddl::kernels
")
