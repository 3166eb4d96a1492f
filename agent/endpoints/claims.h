#pragma once

#include <string>
#include <vector>

#include <boost/json/object.hpp>
#include <google/protobuf/struct.pb.h>

namespace credence {

/// JSON claims as a protobuf Struct; numbers become doubles, as the type has it.
google::protobuf::Struct ToStruct(const boost::json::object& claims);

/// Leaves sub, aud, exp and the names in `allowed`; the rest of a foreign trust domain's token
/// means nothing here.
void KeepClaims(boost::json::object& claims, const std::vector<std::string>& allowed);

}  // namespace credence
