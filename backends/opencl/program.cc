#include "backends/opencl/program.h"

#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vector>

#include "kernels/program.h"

namespace eddl::opencl {
namespace {

constexpr size_t kLogLinesMax = 3;
constexpr std::string_view kMagic = "EDDL OpenCL program 1\n";

// FNV-1a (Fowler, Noll and Vo), 64 bits: names files. The whole key is in the file, so that equal hashes do no harm.
uint64_t Hash(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3u;
  }
  return hash;
}

// All that the binary depends on, one line.
std::string FullKey(const ProgramRequest& request) {
  char source_hash[32];
  std::snprintf(source_hash, sizeof(source_hash), "%016" PRIx64, Hash(kernels::KernelProgram()));
  std::string key = request.key + " | " + request.options + " | source " + source_hash;
  for (char& c : key) {
    if (c == '\n') c = ' ';
  }
  return key + "\n";
}

std::filesystem::path FileOf(const ProgramRequest& request, const std::string& key) {
  char name[48];
  std::snprintf(name, sizeof(name), "opencl-%016" PRIx64 ".bin", Hash(key));
  return std::filesystem::path(request.cache_folder) / name;
}

// The binary in the cache, or nothing.
std::vector<unsigned char> ReadCache(const ProgramRequest& request, const std::string& key) {
  if (request.cache_folder.empty()) return {};
  std::ifstream file(FileOf(request, key), std::ios::binary);
  std::stringstream all;
  all << file.rdbuf();
  const std::string bytes = std::move(all).str();
  const std::string head = std::string(kMagic) + key;
  if (!file || bytes.compare(0, head.size(), head) != 0) return {};
  // Then the hash of what follows: a file that was cut off is no program.
  if (bytes.size() < head.size() + sizeof(uint64_t)) return {};
  uint64_t hash = 0;
  bytes.copy(reinterpret_cast<char*>(&hash), sizeof(hash), head.size());
  const std::string_view binary = std::string_view(bytes).substr(head.size() + sizeof(hash));
  if (Hash(binary) != hash) return {};
  return {binary.begin(), binary.end()};
}

void WriteCache(const ProgramRequest& request, const std::string& key, cl_program program) {
  if (request.cache_folder.empty()) return;
  size_t size = 0;
  if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, nullptr) != CL_SUCCESS || size == 0)
    return;
  std::string binary(size, '\0');
  unsigned char* bytes = reinterpret_cast<unsigned char*>(binary.data());
  if (clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(bytes), &bytes, nullptr) != CL_SUCCESS) return;
  std::error_code error;
  std::filesystem::create_directories(request.cache_folder, error);
  const std::filesystem::path path = FileOf(request, key);
  // Written beside it and renamed: another process never sees half a file.
  const std::filesystem::path part = path.string() + "." + std::to_string(getpid());
  const uint64_t hash = Hash(binary);
  {
    std::ofstream file(part, std::ios::binary);
    file << kMagic << key;
    file.write(reinterpret_cast<const char*>(&hash), sizeof(hash));
    file << binary;
    if (!file.flush()) {
      std::filesystem::remove(part, error);
      return;
    }
  }
  std::filesystem::rename(part, path, error);
  if (error) std::filesystem::remove(part, error);
}

// The first lines of what the compiler said that are not empty.
std::string BuildLog(cl_program program, cl_device_id device) {
  size_t size = 0;
  clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, nullptr, &size);
  std::string log(size, '\0');
  clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, size, log.data(), nullptr);
  std::istringstream lines(log.c_str());
  std::string first;
  size_t count = 0;
  for (std::string line; count < kLogLinesMax && std::getline(lines, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    first += (count++ > 0 ? " / " : "") + line;
  }
  return first.empty() ? "the compiler said nothing" : first;
}

bool BuildFromCache(const ProgramRequest& request, const std::string& key, Program* program) {
  const std::vector<unsigned char> binary = ReadCache(request, key);
  if (binary.empty()) return false;
  const unsigned char* bytes = binary.data();
  const size_t size = binary.size();
  cl_int error = CL_SUCCESS;
  program->reset(clCreateProgramWithBinary(request.context, 1, &request.device, &size, &bytes, nullptr, &error));
  if (error != CL_SUCCESS) return false;
  return clBuildProgram(program->get(), 1, &request.device, request.options.c_str(), nullptr, nullptr) == CL_SUCCESS;
}

}  // namespace

Status BuildKernels(const ProgramRequest& request, Program* program) {
  const std::string key = FullKey(request);
  if (BuildFromCache(request, key, program)) return {};
  request.log("compiling kernels (once)");
  const std::string_view source = kernels::KernelProgram();
  const char* text = source.data();
  const size_t size = source.size();
  cl_int error = CL_SUCCESS;
  program->reset(clCreateProgramWithSource(request.context, 1, &text, &size, &error));
  EDDL_OPENCL_CALL(error, "creating the kernels' program");
  error = clBuildProgram(program->get(), 1, &request.device, request.options.c_str(), nullptr, nullptr);
  if (error == CL_BUILD_PROGRAM_FAILURE) {
    return Error(EDDL_INTERNAL, "the device's compiler refuses the kernels (%s); its log begins: %s",
                 request.options.c_str(), BuildLog(program->get(), request.device).c_str());
  }
  EDDL_OPENCL_CALL(error, "compiling the kernels");
  WriteCache(request, key, program->get());
  return {};
}

std::string CacheFolder(const char* asked_for) {
  if (asked_for != nullptr) return asked_for;
  if (const char* folder = std::getenv("XDG_CACHE_HOME"); folder != nullptr && *folder == '/') {
    return std::string(folder) + "/eddl";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/')
    return std::string(home) + "/.cache/eddl";
  return "";
}

}  // namespace eddl::opencl
