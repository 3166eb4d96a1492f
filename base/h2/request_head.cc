#include "base/h2/request_head.h"

#include <fmt/format.h>

#include "base/wire/grpc_text.h"

namespace credence::h2 {
namespace {

constexpr std::size_t kFieldOverhead = 32;

bool IsGrpcContentType(std::string_view value) {
  constexpr std::string_view kBase = "application/grpc";
  if (!value.starts_with(kBase)) {
    return false;
  }
  value.remove_prefix(kBase.size());
  if (value.starts_with("+proto")) {
    value.remove_prefix(std::string_view("+proto").size());
  }
  return value.empty() || value.front() == ';';
}

bool IsReserved(std::string_view name) {
  return name == "content-type" || name == "te" || name == "host" || name.starts_with("grpc-");
}

}  // namespace

void RequestHead::Add(std::string_view name, std::string_view value) {
  size_ += name.size() + value.size() + kFieldOverhead;
  if (size_ > max_bytes_) {
    return;
  }
  if (name.starts_with(':')) {
    AddPseudo(name, value);
  } else if (IsReserved(name)) {
    AddReserved(name, value);
  } else {
    metadata_.emplace_back(name, value);
  }
}

void RequestHead::AddPseudo(std::string_view name, std::string_view value) {
  if (name == ":method" && !has_method_) {
    has_method_ = true;
    is_post_ = value == "POST";
  } else if (name == ":path" && path_.empty() && value.starts_with('/')) {
    path_ = value;
  } else if (name != ":scheme" && name != ":authority") {
    // Clients put whatever they like into :authority of a local socket, even its path: it is not
    // looked at.
    malformed_ = true;
  }
}

void RequestHead::AddReserved(std::string_view name, std::string_view value) {
  if (name == "content-type") {
    is_grpc_ = IsGrpcContentType(value);
  } else if (name == "grpc-timeout") {
    if (auto timeout = ParseGrpcTimeout(value); timeout.ok()) {
      timeout_ = *timeout;
    } else {
      unusable_ = Status::From(timeout.error());
    }
  } else if (name == "grpc-encoding") {
    if (value == "gzip") {
      compression_ = Compression::kGzip;
    } else if (value != "identity") {
      unusable_ =
          Status{Code::kUnimplemented, "grpc-encoding is not supported: use identity or gzip", ""};
    }
  }
}

std::optional<Refusal> RequestHead::Check() const {
  if (size_ > max_bytes_) {
    return Refusal{200,
                   {Code::kResourceExhausted,
                    fmt::format("headers are over the limit of {} bytes", max_bytes_),
                    ""}};
  }
  if (malformed_ || !has_method_ || path_.empty()) {
    return Refusal{400, {}};
  }
  if (!is_post_) {
    return Refusal{405, {}};
  }
  if (!is_grpc_) {
    return Refusal{415, {}};
  }
  if (unusable_) {
    return Refusal{200, *unusable_};
  }
  return std::nullopt;
}

std::vector<std::string_view> RequestHead::Metadata(std::string_view key) const {
  std::vector<std::string_view> values;
  for (const auto& [name, value] : metadata_) {
    if (name == key) {
      values.emplace_back(value);
    }
  }
  return values;
}

}  // namespace credence::h2
