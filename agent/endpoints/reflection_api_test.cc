#include "agent/endpoints/reflection_api.h"

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>

#include "agent/endpoints/testing/fake_call.h"
#include "base/core/testing/run_task.h"

namespace credence {
namespace {

using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;
using testing::ElementsAre;

class ReflectionApiTest : public testing::Test {
 protected:
  ServerReflectionResponse AboutSymbol(const std::string& symbol) {
    ServerReflectionRequest request;
    request.set_file_containing_symbol(symbol);
    return api_.Answer(request);
  }

  /// The methods of `service` as a client finds them, which knows nothing but the answer.
  std::vector<std::string> MethodsOf(const std::string& service) {
    const auto answer = AboutSymbol(service);
    const auto& files = answer.file_descriptor_response().file_descriptor_proto();
    google::protobuf::DescriptorPool pool;
    for (int i = files.size() - 1; i >= 0; --i) {
      google::protobuf::FileDescriptorProto file;
      EXPECT_TRUE(file.ParseFromString(files[i]));
      EXPECT_NE(pool.BuildFile(file), nullptr) << file.name();
    }
    std::vector<std::string> methods;
    const auto* found = pool.FindServiceByName(service);
    for (int i = 0; found != nullptr && i < found->method_count(); ++i) {
      methods.push_back(found->method(i)->name());
    }
    return methods;
  }

  asio::io_context io_;
  ReflectionApi api_;
};

TEST_F(ReflectionApiTest, WE_23_25_EveryServiceIsListedAndDescribed) {
  ServerReflectionRequest request;
  request.set_list_services("*");
  std::vector<std::string> names;
  const auto answer = api_.Answer(request);
  for (const auto& service : answer.list_services_response().service()) {
    names.push_back(service.name());
    EXPECT_FALSE(MethodsOf(service.name()).empty()) << service.name();
  }
  EXPECT_THAT(names,
              ElementsAre("SpiffeWorkloadAPI",
                          "credence.credential.v1.CredentialAPI",
                          "grpc.health.v1.Health",
                          "grpc.reflection.v1.ServerReflection"));
}

TEST_F(ReflectionApiTest, WE_22_24_WA_3_TheWorkloadApiHasItsOwnMethodsAndNoOthers) {
  EXPECT_THAT(MethodsOf("SpiffeWorkloadAPI"),
              ElementsAre("FetchX509SVID",
                          "FetchX509Bundles",
                          "FetchJWTSVID",
                          "FetchJWTBundles",
                          "ValidateJWTSVID"));
  EXPECT_THAT(MethodsOf("grpc.health.v1.Health"), ElementsAre("Check", "Watch"));
}

TEST_F(ReflectionApiTest, FilesAreFoundByMessageAndByName) {
  const auto by_symbol = AboutSymbol("X509SVIDResponse");
  ASSERT_EQ(by_symbol.file_descriptor_response().file_descriptor_proto_size(), 2)
      << "the file and the one it imports";
  EXPECT_EQ(by_symbol.original_request().file_containing_symbol(), "X509SVIDResponse");
  ServerReflectionRequest request;
  request.set_file_by_filename("spiffe/workload/workload.proto");
  EXPECT_EQ(api_.Answer(request).file_descriptor_response().file_descriptor_proto(0),
            by_symbol.file_descriptor_response().file_descriptor_proto(0));
}

TEST_F(ReflectionApiTest, WhatIsNotThereIsNotFound) {
  ServerReflectionRequest file;
  file.set_file_by_filename("/etc/passwd");
  ServerReflectionRequest extension;
  extension.mutable_file_containing_extension()->set_containing_type("X509SVID");
  for (const auto& answer : {AboutSymbol("credence.spiffe.workload.X509SVID"),
                             api_.Answer(file),
                             api_.Answer(extension)}) {
    EXPECT_EQ(answer.error_response().error_code(), static_cast<int>(Code::kNotFound));
  }
  EXPECT_EQ(api_.Answer(ServerReflectionRequest()).error_response().error_code(),
            static_cast<int>(Code::kInvalidArgument));
}

TEST_F(ReflectionApiTest, AStreamAnswersEachRequestAndEndsWithTheClients) {
  ServerReflectionRequest request;
  request.set_list_services("");
  const auto call = std::make_shared<FakeCall>(request.SerializeAsString(), CallMetadata{});
  EXPECT_EQ(RunTask(io_, api_.Info(call)).code, Code::kOk);
  ASSERT_EQ(call->written.size(), 1U);
  EXPECT_EQ(
      ParseAs<ServerReflectionResponse>(call->written[0]).list_services_response().service_size(),
      4);
  request.set_host(std::string(5'000, 'x'));
  const auto large = std::make_shared<FakeCall>(request.SerializeAsString(), CallMetadata{});
  EXPECT_EQ(RunTask(io_, api_.Info(large)).code, Code::kInvalidArgument);
  EXPECT_TRUE(large->written.empty()) << "all of the request would be in the answer";
  const auto garbage = std::make_shared<FakeCall>("\xff\xff", CallMetadata{});
  EXPECT_EQ(RunTask(io_, api_.Info(garbage)).code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace credence
