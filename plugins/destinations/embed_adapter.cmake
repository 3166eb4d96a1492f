# cmake -DIN=adapter.yaml -DOUT=adapter.cc -DSYMBOL=kName -P embed_adapter.cmake
file(READ ${IN} text)
if(text MATCHES "\\)yaml\"")
  message(FATAL_ERROR "${IN} has the text that ends the raw string")
endif()
file(WRITE ${OUT} "#include \"plugins/destinations/embedded_adapters.h\"\n\nnamespace credence {\n\n"
  "constinit const std::string_view ${SYMBOL} = R\"yaml(")
file(APPEND ${OUT} "${text}")
file(APPEND ${OUT} ")yaml\";\n\n}  // namespace credence\n")
