#include "base/rpc/answer_head.h"

#include <charconv>
#include <utility>

#include <fmt/format.h>
#include <nghttp2/nghttp2.h>

#include "base/rpc/foreign_text.h"
#include "base/wire/grpc_text.h"

namespace credence {
namespace {

constexpr std::size_t kMaxMessageBytes = 1024;
constexpr std::size_t kFieldOverhead = 32;
constexpr std::string_view kGrpc = "application/grpc";

/// The digits of a small number; nullopt for anything else.
std::optional<int> SmallNumber(std::string_view text) {
  int number = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  const bool whole = !text.empty() && text.size() <= 3 && read.ptr == end && number >= 0;
  return whole ? std::optional(number) : std::nullopt;
}

Code CodeOfHttp(int status) {
  switch (status) {
    case 400:
      return Code::kInternal;
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kPermissionDenied;
    case 404:
      return Code::kUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return Code::kUnavailable;
    default:
      return Code::kUnknown;
  }
}

Code CodeOfReset(std::uint32_t error_code) {
  switch (error_code) {
    case NGHTTP2_REFUSED_STREAM:
      return Code::kUnavailable;
    case NGHTTP2_CANCEL:
      return Code::kCancelled;
    case NGHTTP2_ENHANCE_YOUR_CALM:
      return Code::kResourceExhausted;
    case NGHTTP2_INADEQUATE_SECURITY:
      return Code::kPermissionDenied;
    default:
      return Code::kInternal;
  }
}

/// "application/grpc", also with "+proto" or parameters behind it.
bool IsGrpc(std::string_view content_type) {
  if (!content_type.starts_with(kGrpc)) {
    return false;
  }
  const auto rest = content_type.substr(kGrpc.size());
  return rest.empty() || rest.front() == '+' || rest.front() == ';';
}

}  // namespace

RpcVerdict RpcVerdict::Failed(Code code, std::string message) {
  return RpcVerdict{Error(code, std::move(message)), ""};
}

bool AnswerHead::Add(std::string_view name, std::string_view value) {
  block_.size += name.size() + value.size() + kFieldOverhead;
  if (block_.size > kMaxBlockBytes) {
    return false;
  }
  if (name == ":status") {
    block_.http_status = value;
  } else if (name == "content-type") {
    block_.content_type = value;
  } else if (name == "grpc-status") {
    block_.grpc_status = value;
  } else if (name == "grpc-message") {
    block_.message = value;
  } else if (name == "grpc-status-details-bin") {
    block_.details = value;
  }
  return true;
}

std::optional<RpcVerdict> AnswerHead::End(bool ends_stream) {
  const bool trailers = block_.http_status.empty();
  const auto http = SmallNumber(block_.http_status);
  if (http && *http >= 100 && *http < 200 && !ends_stream) {
    return std::nullopt;  // interim
  }
  if (ends_stream && block_.grpc_status) {
    return Status();
  }
  if (!trailers && http != 200) {
    return RpcVerdict::Failed(
        CodeOfHttp(http.value_or(0)),
        fmt::format("the server answers with HTTP status {}", http.value_or(0)));
  }
  if (!trailers && !IsGrpc(block_.content_type)) {
    return RpcVerdict::Failed(Code::kUnknown, "the server's answer is not gRPC");
  }
  if (ends_stream) {
    return RpcVerdict::Failed(Code::kUnknown, "the server ended the call without a status");
  }
  if (trailers) {
    return RpcVerdict::Failed(Code::kInternal, "the server sends headers inside its answer");
  }
  return std::nullopt;
}

RpcVerdict AnswerHead::Status() const {
  const auto number = SmallNumber(*block_.grpc_status);
  if (number == 0) {
    return RpcVerdict{Ok(), ""};
  }
  const bool canonical = number && *number <= static_cast<int>(Code::kUnauthenticated);
  std::string message = ForeignText(h2::PercentDecode(block_.message, kMaxMessageBytes));
  if (message.empty()) {
    message = "the server gave no reason";
  }
  auto verdict = RpcVerdict::Failed(canonical ? static_cast<Code>(*number) : Code::kUnknown,
                                    std::move(message));
  if (auto details = h2::DecodeBinaryHeader(block_.details); details.ok()) {
    verdict.details = *std::move(details);
  }
  return verdict;
}

RpcVerdict VerdictOfReset(std::uint32_t error_code) {
  return RpcVerdict::Failed(
      CodeOfReset(error_code),
      fmt::format("the call was reset: {}", nghttp2_http2_strerror(error_code)));
}

}  // namespace credence
