# cmake -DOUT=FILE.c -P embed.cmake -- AGENT...: writes the C file that holds the agents, each the file
# .../ARCH/muster-agent. Its text names their digests, so that it changes whenever one of them does.
set(at -1)
set(agents)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
    if(at GREATER -1)
        list(APPEND agents ${CMAKE_ARGV${i}})
    elseif(CMAKE_ARGV${i} STREQUAL "--")
        set(at ${i})
    endif()
endforeach()

set(text "/* Written by controller/remote/embed.cmake. */\n#include \"controller/remote/blob.h\"\n\n")
set(rows "")
foreach(agent ${agents})
    get_filename_component(folder ${agent} DIRECTORY)
    get_filename_component(arch ${folder} NAME)
    file(SIZE ${agent} size)
    file(SHA256 ${agent} digest)
    string(APPEND text
        "extern const char muster_agent_${arch}[];\n"
        "__asm__(\".pushsection .rodata.muster_agents,\\\"a\\\",%progbits\\n\"\n"
        "        \".balign 64\\n\"\n"
        "        \"muster_agent_${arch}:\\n\"\n"
        "        \".incbin \\\"${agent}\\\"\\n\"\n"
        "        \".popsection\\n\");\n\n")
    string(APPEND rows "    {\"${arch}\", muster_agent_${arch}, ${size}, \"${digest}\"},\n")
endforeach()
string(APPEND text "const struct blob blob_table[] = {\n${rows}    {0},\n};\n")
file(WRITE ${OUT} "${text}")
