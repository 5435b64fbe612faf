# Writes a C++ source with files as bytes: cmake -DOUTPUT=FILE.cc "-DINPUTS=a;b" -P embed.cmake
set(arrays "")
set(table "")
foreach(input IN LISTS INPUTS)
  get_filename_component(name ${input} NAME)
  string(MAKE_C_IDENTIFIER ${name} identifier)
  file(READ ${input} bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(APPEND arrays "constexpr unsigned char ${identifier}[] = {${bytes}0};\n")
  string(APPEND table "    {\"${name}\", {reinterpret_cast<const char*>(${identifier}), sizeof(${identifier}) - 1}},\n")
endforeach()
file(WRITE ${OUTPUT} "#include \"tools/eddl_node/dashboard/assets.h\"\n
namespace eddl {
namespace {\n
${arrays}
const Asset kAssets[] = {
${table}};\n
}  // namespace\n
std::span<const Asset> Assets() { return kAssets; }\n
}  // namespace eddl\n")
