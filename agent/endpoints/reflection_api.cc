#include "agent/endpoints/reflection_api.h"

#include <array>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <boost/algorithm/string/replace.hpp>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/text_format.h>

#include "agent/endpoints/call_support.h"
#include "base/core/check.h"

#include "credence/credential/v1/credential.pb.h"
#include "grpc/health/v1/health.pb.h"
#include "spiffe/workload/workload.pb.h"

namespace credence {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using google::protobuf::FileDescriptorProto;
using google::protobuf::TextFormat;
using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;

/// A request, all of which is in its answer; names of symbols and files are short.
constexpr std::size_t kMaxRequest = 4096;

constexpr std::array kServices{"SpiffeWorkloadAPI",
                               "credence.credential.v1.CredentialAPI",
                               "grpc.health.v1.Health",
                               "grpc.reflection.v1.ServerReflection"};

/// The file as clients know it: the Workload API has no package on the wire.
FileDescriptorProto AsServed(const FileDescriptor& file) {
  FileDescriptorProto proto;
  file.CopyTo(&proto);
  if (file.package() == "credence.spiffe.workload") {
    std::string text;
    CREDENCE_CHECK(TextFormat::PrintToString(proto, &text));
    boost::algorithm::replace_all(text, "\".credence.spiffe.workload.", "\".");
    CREDENCE_CHECK(TextFormat::ParseFromString(text, &proto));
    proto.clear_package();
  }
  return proto;
}

/// Adds `file` after all that it imports.
void Add(const FileDescriptor& file, DescriptorPool& pool) {
  if (pool.FindFileByName(file.name()) == nullptr) {
    for (int i = 0; i < file.dependency_count(); ++i) {
      Add(*file.dependency(i), pool);
    }
    CREDENCE_CHECK(pool.BuildFile(AsServed(file)) != nullptr);
  }
}

void AddWithImports(const FileDescriptor* file,
                    std::set<const FileDescriptor*>& added,
                    grpc::reflection::v1::FileDescriptorResponse& answer) {
  if (!added.insert(file).second) {
    return;
  }
  FileDescriptorProto proto;
  file->CopyTo(&proto);
  answer.add_file_descriptor_proto(proto.SerializeAsString());
  for (int i = 0; i < file->dependency_count(); ++i) {
    AddWithImports(file->dependency(i), added, answer);
  }
}

void Refuse(Code code, std::string_view message, ServerReflectionResponse& response) {
  response.mutable_error_response()->set_error_code(static_cast<int>(code));
  response.mutable_error_response()->set_error_message(std::string(message));
}

void AnswerFile(const FileDescriptor* file, ServerReflectionResponse& response) {
  if (file == nullptr) {
    Refuse(Code::kNotFound, "there is no such file or symbol", response);
    return;
  }
  std::set<const FileDescriptor*> added;
  AddWithImports(file, added, *response.mutable_file_descriptor_response());
}

}  // namespace

const DescriptorPool& ReflectionApi::Files() {
  if (!files_) {
    files_ = std::make_unique<DescriptorPool>();
    Add(*spiffe::workload::X509SVIDRequest::descriptor()->file(), *files_);
    Add(*credential::v1::GetStatusRequest::descriptor()->file(), *files_);
    Add(*grpc::health::v1::HealthCheckRequest::descriptor()->file(), *files_);
    Add(*ServerReflectionRequest::descriptor()->file(), *files_);
  }
  return *files_;
}

ServerReflectionResponse ReflectionApi::Answer(const ServerReflectionRequest& request) {
  ServerReflectionResponse response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  const DescriptorPool& files = Files();
  switch (request.message_request_case()) {
    case ServerReflectionRequest::kFileByFilename:
      AnswerFile(files.FindFileByName(request.file_by_filename()), response);
      break;
    case ServerReflectionRequest::kFileContainingSymbol:
      AnswerFile(files.FindFileContainingSymbol(request.file_containing_symbol()), response);
      break;
    case ServerReflectionRequest::kListServices:
      for (const char* service : kServices) {
        response.mutable_list_services_response()->add_service()->set_name(service);
      }
      break;
    case ServerReflectionRequest::kFileContainingExtension:
    case ServerReflectionRequest::kAllExtensionNumbersOfType:
      Refuse(Code::kNotFound, "there are no extensions", response);
      break;
    case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET:
      Refuse(Code::kInvalidArgument, "the request asks for nothing that is known here", response);
      break;
  }
  return response;
}

void ReflectionApi::Register(h2::Server& server) {
  for (const char* version : {"v1", "v1alpha"}) {
    server.Handle(
        std::string("/grpc.reflection.") + version + ".ServerReflection/ServerReflectionInfo",
        [this](auto call) { return Info(std::move(call)); });
  }
}

Task<h2::Status> ReflectionApi::Info(std::shared_ptr<h2::ServerCall> call) {
  while (true) {
    auto bytes = co_await call->Read();
    if (!bytes.ok()) {
      co_return h2::Status::From(bytes.error());
    }
    if (!bytes->has_value()) {
      co_return h2::Status::Ok();
    }
    if ((*bytes)->size() > kMaxRequest) {
      co_return h2::Status{
          Code::kInvalidArgument, "a request for reflection has at most 4096 bytes", ""};
    }
    ServerReflectionRequest request;
    if (auto parsed = ParseRequest(**bytes, request); !parsed.ok()) {
      co_return h2::Status::From(parsed.error());
    }
    auto message = Serialize(Answer(request));
    if (!message.ok()) {
      co_return h2::Status::From(message.error());
    }
    const auto written = co_await call->Write(*message);
    if (!written.ok()) {
      co_return h2::Status::From(written.error());
    }
  }
}

}  // namespace credence
