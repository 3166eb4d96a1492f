#pragma once

#include <memory>

#include <google/protobuf/descriptor.h>

#include "base/h2/server.h"
#include "base/h2/server_call.h"

#include "grpc/reflection/v1/reflection.pb.h"

namespace credence {

/// gRPC server reflection, v1 and v1alpha: which services stand on the socket and what their
/// messages look like. It tells what the source tells, so nobody is asked for a header or attested.
/// Threads: core thread.
/// Source: SPIFFE Workload Endpoint section 6; grpc/doc/server-reflection.md.
class ReflectionApi {
 public:
  void Register(h2::Server& server);

  /// The method itself; Register makes it answer on the wire.
  Task<h2::Status> Info(std::shared_ptr<h2::ServerCall> call);

  grpc::reflection::v1::ServerReflectionResponse Answer(
      const grpc::reflection::v1::ServerReflectionRequest& request);

 private:
  /// Made when first asked for: most agents never are.
  const google::protobuf::DescriptorPool& Files();

  std::unique_ptr<google::protobuf::DescriptorPool> files_;
};

}  // namespace credence
