#pragma once

#include <sys/socket.h>

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/h2/server_call.h"
#include "plugins/contract/workload_attestor.h"

namespace credence {

/// Says that every process has this selector; counts how often it is asked.
class FixedAttestor final : public WorkloadAttestor {
 public:
  FixedAttestor(const std::string& selector, int& asked)
      : selector_(Selector::Parse(selector).value()), asked_(asked) {}
  std::string_view name() const override { return "unix"; }
  Task<Result<std::vector<Selector>>> Attest(std::shared_ptr<const PinnedProcess> /*process*/,
                                             Deadline /*deadline*/) override {
    ++asked_;
    std::vector<Selector> selectors{selector_};
    co_return selectors;
  }

 private:
  Selector selector_;
  int& asked_;
};

using CallMetadata = std::multimap<std::string, std::string, std::less<>>;
inline const CallMetadata kHeader{{"workload.spiffe.io", "true"}};

/// A call from this very process.
class FakeCall final : public h2::ServerCall {
 public:
  explicit FakeCall(std::string request, CallMetadata metadata = kHeader)
      : request_(std::move(request)), metadata_(std::move(metadata)) {
    std::array<int, 2> pair{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
    const UniqueFd one(pair[0]);
    const UniqueFd other(pair[1]);
    caller_ = std::make_shared<const Caller>(IdentifyCaller(pair[0]).value());
  }

  const std::shared_ptr<const Caller>& caller() const override { return caller_; }
  std::string_view path() const override { return ""; }
  std::vector<std::string_view> Metadata(std::string_view key) const override {
    std::vector<std::string_view> values;
    for (auto [at, end] = metadata_.equal_range(key); at != end; ++at) {
      values.push_back(at->second);
    }
    return values;
  }
  Deadline deadline() const override { return Deadline::After(std::chrono::seconds(10)); }
  Task<Result<std::optional<std::string>>> Read() override {
    co_return std::exchange(request_, std::nullopt);
  }
  Task<Result<void>> Write(SharedSecret message) override {
    written.push_back(std::move(message));
    co_return Ok();
  }

  std::vector<SharedSecret> written;

 private:
  std::optional<std::string> request_;
  CallMetadata metadata_;
  std::shared_ptr<const Caller> caller_;
};

/// A message as its receiver reads it.
template <class Message>
Message ParseAs(const SharedSecret& bytes) {
  Message message;
  EXPECT_TRUE(bytes && message.ParseFromArray(bytes->data(), static_cast<int>(bytes->size())));
  return message;
}

}  // namespace credence
