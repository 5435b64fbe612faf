// Reads job files: TOML, then --set overrides, checked against the table of keys. Writes them back with comments.
//
// Paths in a job file are relative to the file's folder; run.dir, run.trace and paths given with --set are relative to
// the current folder. Every problem of a file is reported, one a line, not only the first.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "tools/eddl_node/job_config.h"

namespace eddl {

// The job in a TOML text. Errors are kInvalidArgument, "name:line: train.batch: expected ..., got ...".
// name is for messages; folder is what relative paths are relative to.
absl::StatusOr<JobConfig> ParseJob(std::string_view text, const std::string& name, const std::string& folder);

// Applies "key=value" overrides in order. A value is written as in TOML; quotes around a text and brackets around a
// list may be left out: model.widths=512,256. kInvalidArgument: "--set train.batch=x: ...".
absl::Status ApplyOverrides(JobConfig& job, std::span<const std::string> overrides);

// Reads a file and applies the overrides. kNotFound or kInvalidArgument.
absl::StatusOr<JobConfig> LoadJob(const std::string& path, std::span<const std::string> overrides);

// The job as a file in which every key has its documentation, what it accepts, and its value in `job`.
std::string CommentedJob(const JobConfig& job);

// docs/job-file.md: all keys as tables.
std::string JobReference();

}  // namespace eddl
