#include "tools/eddl_node/cluster/fetch_file.h"

#include "net/wire/cluster.grpc.pb.h"
#include "runtime/base/atomic_file.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/cluster/cluster_service.h"
#include "tools/eddl_node/exit_code.h"

namespace eddl::cluster {

absl::Status FetchFile(const std::shared_ptr<grpc::Channel>& channel, const std::string& kind,
                       const std::string& path) {
  const auto stub = v1::Cluster::NewStub(channel);
  grpc::ClientContext context;
  v1::GetModelRequest request;
  request.set_kind(kind);
  const auto reader = stub->GetModel(&context, request);
  auto file = AtomicFile::Create(path);
  if (!file.ok()) return WithExitCode(ExitCode::kSave, file.status());
  v1::FilePiece piece;
  while (reader->Read(&piece)) EDDL_RETURN_IF_ERROR(WithExitCode(ExitCode::kSave, file->Append(piece.bytes())));
  const absl::Status received = FromGrpc(reader->Finish());
  if (!received.ok()) return WithExitCode(ExitCode::kNetwork, WithContext(received, "fetching the model"));
  return WithExitCode(ExitCode::kSave, file->Commit());
}

}  // namespace eddl::cluster
