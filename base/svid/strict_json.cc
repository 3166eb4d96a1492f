#include "base/svid/strict_json.h"

#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/error.hpp>
#include <boost/json/parse_options.hpp>
#include <boost/json/string_view.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_stack.hpp>
#include <fmt/format.h>

namespace credence {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxDepth = 32;

/// Builds the value and stops at the first repeated name. The names and sizes of its members are
/// Boost.JSON's.
class Builder {
 public:
  static constexpr std::size_t max_object_size = json::object::max_size();
  static constexpr std::size_t max_array_size = json::array::max_size();
  static constexpr std::size_t max_key_size = json::string::max_size();
  static constexpr std::size_t max_string_size = json::string::max_size();

  bool on_document_begin(json::error_code& /*ec*/) {
    stack_.reset();
    return true;
  }
  bool on_document_end(json::error_code& /*ec*/) { return true; }

  bool on_object_begin(json::error_code& /*ec*/) {
    names_.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t size, json::error_code& /*ec*/) {
    names_.pop_back();
    stack_.push_object(size);
    return true;
  }
  bool on_array_begin(json::error_code& /*ec*/) { return true; }
  bool on_array_end(std::size_t size, json::error_code& /*ec*/) {
    stack_.push_array(size);
    return true;
  }

  bool on_key_part(json::string_view part, std::size_t /*size*/, json::error_code& /*ec*/) {
    name_.append(part.data(), part.size());
    stack_.push_chars(part);
    return true;
  }
  bool on_key(json::string_view part, std::size_t /*size*/, json::error_code& ec) {
    name_.append(part.data(), part.size());
    const bool is_new = names_.back().insert(std::move(name_)).second;
    name_.clear();
    if (!is_new) {
      repeated_name_ = true;
      ec = json::error::syntax;
      return false;
    }
    stack_.push_key(part);
    return true;
  }

  bool on_string_part(json::string_view part, std::size_t /*size*/, json::error_code& /*ec*/) {
    stack_.push_chars(part);
    return true;
  }
  bool on_string(json::string_view part, std::size_t /*size*/, json::error_code& /*ec*/) {
    stack_.push_string(part);
    return true;
  }

  bool on_number_part(json::string_view /*part*/, json::error_code& /*ec*/) { return true; }
  bool on_int64(std::int64_t number, json::string_view /*text*/, json::error_code& /*ec*/) {
    stack_.push_int64(number);
    return true;
  }
  bool on_uint64(std::uint64_t number, json::string_view /*text*/, json::error_code& /*ec*/) {
    stack_.push_uint64(number);
    return true;
  }
  bool on_double(double number, json::string_view /*text*/, json::error_code& ec) {
    if (!std::isfinite(number)) {
      ec = json::error::exponent_overflow;
      return false;
    }
    stack_.push_double(number);
    return true;
  }
  bool on_bool(bool value, json::error_code& /*ec*/) {
    stack_.push_bool(value);
    return true;
  }
  bool on_null(json::error_code& /*ec*/) {
    stack_.push_null();
    return true;
  }
  bool on_comment_part(json::string_view /*part*/, json::error_code& /*ec*/) { return true; }
  bool on_comment(json::string_view /*part*/, json::error_code& /*ec*/) { return true; }

  bool repeated_name() const { return repeated_name_; }
  json::value Release() { return stack_.release(); }

 private:
  json::value_stack stack_;
  /// One set of names for each object that is open.
  std::vector<std::set<std::string, std::less<>>> names_;
  std::string name_;
  bool repeated_name_ = false;
};

json::parse_options Options() {
  json::parse_options options;
  options.max_depth = kMaxDepth;
  return options;
}

}  // namespace

Result<json::object> ParseStrictJsonObject(std::string_view text, std::size_t max_bytes) {
  if (text.size() > max_bytes) {
    return Error(Code::kInvalidArgument,
                 fmt::format("the JSON text is longer than {} bytes", max_bytes));
  }
  json::basic_parser<Builder> parser(Options());
  json::error_code ec;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), ec);
  if (parser.handler().repeated_name()) {
    return Error(Code::kInvalidArgument, "a JSON object repeats a member name");
  }
  if (ec) {
    return Error(Code::kInvalidArgument, fmt::format("not valid JSON: {}", ec.message()));
  }
  if (used != text.size() || !parser.done()) {
    return Error(Code::kInvalidArgument, "not one JSON value");
  }
  json::value value = parser.handler().Release();
  if (!value.is_object()) {
    return Error(Code::kInvalidArgument, "not a JSON object");
  }
  return std::move(value.get_object());
}

const json::string* FindString(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(json::string_view(name.data(), name.size()));
  return value == nullptr ? nullptr : value->if_string();
}

}  // namespace credence
