package service

import (
	"strconv"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
)

// maxShown is the longest payload that is decoded for people, in bytes.
const maxShown = 1 << 20

// payload is RQ's tuple of a call (function, instance, args, kwargs) as RQ's
// JSON serializer writes it. The arguments keep the client's own text, so
// numbers of any size reach Python exactly.
func payload(function string, a arguments) distro.Payload {
	data := make([]byte, 0, len(function)+len(a.args)+len(a.kwargs)+16)
	data = append(data, '[')
	data = strconv.AppendQuote(data, function) // an identifier: nothing is escaped
	data = append(data, ",null,"...)
	data = append(data, a.args...)
	data = append(data, ',')
	data = append(data, a.kwargs...)
	return distro.Payload{Serializer: distro.SerializerJSON, Data: append(data, ']')}
}

// ShowArguments returns the JSON texts of a payload's arguments for people;
// nil where the payload is not JSON, not a call, or longer than 1 MiB.
func ShowArguments(p distro.Payload) (args, kwargs []byte) {
	if p.Serializer != distro.SerializerJSON || len(p.Data) > maxShown || jsonscan.Check(p.Data, MaxDepth+1) != nil {
		return nil, nil
	}
	if jsonscan.KindOf(p.Data) != jsonscan.List {
		return nil, nil
	}
	var parts [][]byte
	for part := range jsonscan.Elements(p.Data) {
		parts = append(parts, part)
	}
	if len(parts) != 4 {
		return nil, nil
	}
	return parts[2], parts[3]
}
