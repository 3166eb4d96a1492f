#include "agent/endpoints/claims.h"

#include <algorithm>
#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

namespace credence {
namespace {

google::protobuf::Value ToValue(const boost::json::value& value) {
  google::protobuf::Value converted;
  switch (value.kind()) {
    case boost::json::kind::null:
      converted.set_null_value(google::protobuf::NULL_VALUE);
      break;
    case boost::json::kind::bool_:
      converted.set_bool_value(value.get_bool());
      break;
    case boost::json::kind::int64:
    case boost::json::kind::uint64:
    case boost::json::kind::double_:
      converted.set_number_value(value.to_number<double>());
      break;
    case boost::json::kind::string:
      converted.set_string_value(value.get_string().data(), value.get_string().size());
      break;
    case boost::json::kind::array:
      converted.mutable_list_value();
      for (const boost::json::value& element : value.get_array()) {
        *converted.mutable_list_value()->add_values() = ToValue(element);
      }
      break;
    case boost::json::kind::object:
      *converted.mutable_struct_value() = ToStruct(value.get_object());
      break;
  }
  return converted;
}

}  // namespace

google::protobuf::Struct ToStruct(const boost::json::object& claims) {
  google::protobuf::Struct converted;
  for (const auto& claim : claims) {
    (*converted.mutable_fields())[std::string(claim.key())] = ToValue(claim.value());
  }
  return converted;
}

void KeepClaims(boost::json::object& claims, const std::vector<std::string>& allowed) {
  const auto kept = [&](std::string_view name) {
    return name == "sub" || name == "aud" || name == "exp" ||
           std::find(allowed.begin(), allowed.end(), name) != allowed.end();
  };
  for (auto claim = claims.begin(); claim != claims.end();) {
    const std::string name(claim->key());
    claim = kept(name) ? claim + 1 : claims.erase(claim);
  }
}

}  // namespace credence
