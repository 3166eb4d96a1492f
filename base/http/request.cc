#include "base/http/request.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include <boost/algorithm/string/predicate.hpp>
#include <fmt/format.h>

#include "base/http/secret_buffer.h"

namespace credence {
namespace {

constexpr std::array<std::string_view, 9> kOwnHeaders = {"host",
                                                         "content-length",
                                                         "transfer-encoding",
                                                         "connection",
                                                         "accept-encoding",
                                                         "expect",
                                                         "upgrade",
                                                         "te",
                                                         "trailer"};

bool IsTokenCharacter(char c) {
  constexpr std::string_view kPunctuation = "!#$%&'*+-.^_`|~";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kPunctuation.find(c) != std::string_view::npos;
}

bool IsValueCharacter(char c) {
  return c == '\t' || (c >= 0x20 && c <= 0x7e);
}

Result<void> CheckHeader(const HttpHeader& header) {
  if (header.name.empty() ||
      !std::all_of(header.name.begin(), header.name.end(), IsTokenCharacter)) {
    return Error(Code::kInvalidArgument, "a request header has a name that is no token");
  }
  const bool ours = std::any_of(kOwnHeaders.begin(), kOwnHeaders.end(), [&](std::string_view own) {
    return boost::algorithm::iequals(own, header.name);
  });
  if (ours) {
    return Error(Code::kInvalidArgument,
                 fmt::format("request header {} cannot be set", header.name));
  }
  const auto value = header.value == nullptr ? std::string_view() : header.value->Reveal();
  if (!std::all_of(value.begin(), value.end(), IsValueCharacter)) {
    return Error(Code::kInvalidArgument,
                 fmt::format("request header {} has a value with control or non-ASCII characters",
                             header.name));
  }
  return Ok();
}

bool HasBody(HttpMethod method) {
  return method == HttpMethod::kPost || method == HttpMethod::kPut;
}

}  // namespace

std::string_view HttpMethodName(HttpMethod method) {
  switch (method) {
    case HttpMethod::kGet:
      return "GET";
    case HttpMethod::kPost:
      return "POST";
    case HttpMethod::kPut:
      return "PUT";
    case HttpMethod::kDelete:
      return "DELETE";
  }
  return "GET";
}

HttpHeader PlainHeader(std::string name, std::string_view value) {
  return HttpHeader{std::move(name),
                    std::make_shared<const SecretBytes>(SecretBytes::CopyOf(value))};
}

Result<SecretBytes> SerializeRequest(const HttpRequest& request) {
  SecretBuffer text(1024 + request.body.size());
  text.Append(
      fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: credence\r\n"
                  "Connection: close\r\nAccept-Encoding: identity\r\n",
                  HttpMethodName(request.method),
                  request.url.target,
                  request.url.Authority()));
  for (const HttpHeader& header : request.headers) {
    if (auto checked = CheckHeader(header); !checked.ok()) {
      return std::move(checked).error();
    }
    text.Append(header.name);
    text.Append(": ");
    if (header.value != nullptr) {
      text.Append(header.value->Reveal());
    }
    text.Append("\r\n");
  }
  if (HasBody(request.method) || !request.body.empty()) {
    text.Append(fmt::format("Content-Length: {}\r\n", request.body.size()));
  }
  text.Append("\r\n");
  text.Append(request.body.Reveal());
  return text.Take();
}

}  // namespace credence
