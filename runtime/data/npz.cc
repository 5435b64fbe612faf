#include "runtime/data/npz.h"

#include <zip.h>

#include <algorithm>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "runtime/data/byte_reader.h"
#include "runtime/data/npy.h"

namespace eddl {
namespace {

constexpr std::string_view kSuffix = ".npy";
constexpr zip_uint64_t kDeflateRatioMax = 1032;  // as in byte_reader.cc
constexpr zip_int64_t kEntryCountMax = 65536;

struct CloseFile {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

std::string Join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

struct NpzArchive::Handle {
  zip_t* zip;
};

NpzArchive::NpzArchive(std::string name, Handle* handle)
    : name_(std::move(name)), handle_(handle, [](Handle* closed) {
        zip_discard(closed->zip);
        delete closed;
      }) {}

// Takes the source over.
absl::StatusOr<NpzArchive> NpzArchive::FromSource(std::string name, zip_source* source) {
  zip_error_t error;
  zip_error_init(&error);
  zip_t* zip = zip_open_from_source(source, ZIP_RDONLY, &error);
  if (zip == nullptr) {
    const std::string reason = zip_error_strerror(&error);
    zip_error_fini(&error);
    zip_source_free(source);
    return InvalidArgument(name + ": not a readable .npz archive (" + reason + "); fetch the file again");
  }
  zip_error_fini(&error);
  NpzArchive archive(std::move(name), new Handle{zip});
  const zip_int64_t count = zip_get_num_entries(zip, 0);
  if (count > kEntryCountMax) {
    return InvalidArgument(archive.name_ + ": has " + std::to_string(count) + " entries, more than " +
                           std::to_string(kEntryCountMax));
  }
  for (zip_int64_t i = 0; i < count; ++i) {
    const char* entry = zip_get_name(zip, static_cast<zip_uint64_t>(i), 0);
    std::string array = entry == nullptr ? "" : entry;
    if (array.ends_with(kSuffix)) array.resize(array.size() - kSuffix.size());
    archive.arrays_.push_back(std::move(array));
  }
  return archive;
}

absl::StatusOr<NpzArchive> NpzArchive::Open(const std::string& path) {
  // Tells a missing, empty or unreadable file in the words of all readers.
  EDDL_RETURN_IF_ERROR(ByteReader::Open(path).status());
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_file_create(path.c_str(), 0, -1, &error);
  zip_error_fini(&error);
  if (source == nullptr) return InvalidArgument("cannot open " + path);
  return FromSource(path, source);
}

absl::StatusOr<NpzArchive> NpzArchive::OverMemory(std::string name, std::span<const std::byte> bytes) {
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, nullptr);
  EDDL_CHECK(source != nullptr) << name;
  return FromSource(std::move(name), source);
}

bool NpzArchive::Has(const std::string& array) const {
  return std::find(arrays_.begin(), arrays_.end(), array) != arrays_.end();
}

absl::StatusOr<HostBytes> NpzArchive::Extract(const std::string& array) const {
  const auto found = std::find(arrays_.begin(), arrays_.end(), array);
  if (found == arrays_.end()) {
    return NotFound(name_ + ": holds no array '" + array + "' (found: " + Join(arrays_) + ")");
  }
  const std::string where = name_ + "[" + array + "]";
  const auto index = static_cast<zip_uint64_t>(found - arrays_.begin());
  zip_stat_t facts;
  constexpr zip_uint64_t kNeeded =
      ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
  if (zip_stat_index(handle_->zip, index, 0, &facts) != 0 || (facts.valid & kNeeded) != kNeeded) {
    return DataLoss(where + ": the archive's directory is damaged; fetch the file again");
  }
  if (facts.encryption_method != ZIP_EM_NONE ||
      (facts.comp_method != ZIP_CM_STORE && facts.comp_method != ZIP_CM_DEFLATE)) {
    return InvalidArgument(where +
                           ": is encrypted or not compressed with deflate; save it with numpy.savez_compressed");
  }
  if (facts.size / kDeflateRatioMax > facts.comp_size || facts.size > INT64_MAX) {
    return DataLoss(where + ": claims " + std::to_string(facts.size) + " bytes, more than its " +
                    std::to_string(facts.comp_size) + " stored bytes can hold; fetch the file again");
  }
  const std::unique_ptr<zip_file_t, CloseFile> file(zip_fopen_index(handle_->zip, index, 0));
  if (file == nullptr) return DataLoss(where + ": " + zip_strerror(handle_->zip) + "; fetch the file again");
  // One byte beyond the claim: only the read that meets the end compares the checksum.
  HostBytes bytes;
  EDDL_RETURN_IF_ERROR(bytes.Resize(static_cast<int64_t>(facts.size) + 1));
  zip_uint64_t done = 0;
  while (done <= facts.size) {
    const zip_int64_t got = zip_fread(file.get(), bytes.span().data() + done, facts.size + 1 - done);
    if (got < 0) return DataLoss(where + ": " + zip_file_strerror(file.get()) + "; fetch the file again");
    if (got == 0) break;
    done += static_cast<zip_uint64_t>(got);
  }
  if (done != facts.size) return DataLoss(where + ": is not as long as the archive says; fetch the file again");
  EDDL_RETURN_IF_ERROR(bytes.Resize(static_cast<int64_t>(facts.size)));
  return bytes;
}

absl::StatusOr<ReadResult> ReadNpz(const NpzArchive& archive, const ArrayNames& arrays, int64_t limit,
                                   int64_t class_count) {
  const auto reader = [&archive](const std::string& array, const HostBytes& bytes) {
    return ByteReader::OverMemory(archive.name() + "[" + array + "]", bytes.span());
  };
  EDDL_ASSIGN_OR_RETURN(const HostBytes samples, archive.Extract(arrays.samples));
  if (arrays.labels.empty()) return ReadNpySamples(reader(arrays.samples, samples), limit);
  EDDL_ASSIGN_OR_RETURN(const HostBytes labels, archive.Extract(arrays.labels));
  return ReadNpy(reader(arrays.samples, samples), reader(arrays.labels, labels), limit, class_count);
}

}  // namespace eddl
