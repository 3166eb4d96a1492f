#include "base/http/server_message.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/verb.hpp>
#include <fmt/format.h>

namespace credence {
namespace {

namespace http = boost::beast::http;

constexpr std::string_view kHeadEnd = "\r\n\r\n";

ServerRequest Refused(int status) {
  ServerRequest request;
  request.status = status;
  return request;
}

std::string_view AsText(const std::uint8_t* data, std::size_t size) {
  return {static_cast<const char*>(static_cast<const void*>(data)), size};
}

/// The path of a request target in origin or absolute form; "" for any other.
std::string_view PathOf(std::string_view target) {
  if (!target.starts_with('/')) {
    const auto scheme = target.find("://");
    if (scheme == std::string_view::npos) {
      return "";
    }
    target.remove_prefix(scheme + 3);
    const auto path = target.find_first_of("/?");
    if (path == std::string_view::npos || target[path] == '?') {
      return "/";
    }
    target.remove_prefix(path);
  }
  return target.substr(0, target.find('?'));
}

bool HasBody(const http::request_parser<http::empty_body>& parser) {
  const auto length = parser.content_length();
  return parser.chunked() || (length.has_value() && *length > 0);
}

ServerRequest ParseHead(std::string_view text) {
  http::request_parser<http::empty_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(text.size() + 1));
  boost::beast::error_code failed;
  parser.put(boost::asio::const_buffer(text.data(), text.size()), failed);
  if (failed || !parser.is_header_done()) {
    return Refused(400);
  }
  const auto& message = parser.get();
  const auto hosts = message.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && message.version() >= 11)) {
    return Refused(400);
  }
  if (message.method() != http::verb::get && message.method() != http::verb::head) {
    return Refused(405);
  }
  const auto target = message.target();
  const std::string_view path = PathOf({target.data(), target.size()});
  if (path.empty() || HasBody(parser)) {
    return Refused(400);
  }
  ServerRequest request;
  request.head_only = message.method() == http::verb::head;
  request.keep_alive = message.keep_alive();
  request.path = path;
  return request;
}

}  // namespace

std::span<std::uint8_t> RequestReader::Space() {
  return std::span(buffer_).subspan(used_);
}

void RequestReader::Commit(std::size_t size) {
  used_ += size;
}

std::optional<std::size_t> RequestReader::FindEnd() {
  const std::string_view text = AsText(buffer_.data(), used_);
  // What does not begin with a method in capitals, or has lines that end otherwise, never becomes
  // a request: say so now and do not wait for its end.
  if (!text.empty() && (text.front() < 'A' || text.front() > 'Z')) {
    return std::nullopt;
  }
  for (std::size_t i = searched_; i < text.size(); ++i) {
    if (text[i] == '\0' || (text[i] == '\n' && (i == 0 || text[i - 1] != '\r'))) {
      return std::nullopt;
    }
    if (text[i] == '\n' && text.substr(0, i + 1).ends_with(kHeadEnd)) {
      return i + 1;
    }
  }
  searched_ = text.size();
  return 0;
}

void RequestReader::Drop(std::size_t size) {
  used_ -= size;
  searched_ = 0;
  std::memmove(buffer_.data(), buffer_.data() + size, used_);
}

std::optional<ServerRequest> RequestReader::Next() {
  // Some clients send an empty line between requests; a second one is no request.
  if (!past_empty_line_) {
    const std::string_view text = AsText(buffer_.data(), used_);
    if (text == "\r") {
      return std::nullopt;
    }
    if (text.starts_with("\r\n")) {
      past_empty_line_ = true;
      Drop(2);
    }
  }
  const auto end = FindEnd();
  if (!end.has_value()) {
    return Refused(400);
  }
  if (*end == 0) {
    return used_ == buffer_.size() ? std::optional(Refused(431)) : std::nullopt;
  }
  ServerRequest request = ParseHead(AsText(buffer_.data(), *end));
  Drop(*end);
  past_empty_line_ = false;
  return request;
}

std::string FormatHttpDate(WallTime time) {
  constexpr std::array<std::string_view, 7> kDays = {
      "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<std::string_view, 12> kMonths = {
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(time - day));
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
                     kDays[std::chrono::weekday(day).c_encoding()],
                     static_cast<unsigned>(date.day()),
                     kMonths[static_cast<unsigned>(date.month()) - 1],
                     static_cast<int>(date.year()),
                     clock.hours().count(),
                     clock.minutes().count(),
                     clock.seconds().count());
}

std::string_view HttpReason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "Error";
  }
}

std::string SerializeResponseHead(const ServerResponseHead& head, WallTime now) {
  std::string cache = "no-store";
  if (head.status == 200) {
    cache = head.max_age.count() > 0 ? fmt::format("public, max-age={}", head.max_age.count())
                                     : "no-cache";
  }
  return fmt::format(
      "HTTP/1.1 {} {}\r\nDate: {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n"
      "Cache-Control: {}\r\nConnection: {}\r\n{}\r\n",
      head.status,
      HttpReason(head.status),
      FormatHttpDate(now),
      head.content_type,
      head.content_length,
      cache,
      head.keep_alive ? "keep-alive" : "close",
      head.status == 405 ? "Allow: GET, HEAD\r\n" : "");
}

}  // namespace credence
