package service

import (
	"fmt"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/pickle"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
)

// Bounds of what is shown of a payload.
const (
	maxShown    = 1 << 20 // bytes of a payload that is decoded for people
	maxJSON     = 4 << 20 // bytes of each JSON text made of a pickle
	maxArgument = 1000    // characters of an argument in the text of a call
)

// encode is the payload of a call.
func encode(t target, a arguments, typed bool) (distro.Payload, error) {
	if typed {
		return newTyping(t).payload(t.name(), a)
	}
	return payload(t.name(), a)
}

// payload is RQ's tuple of a call (function, instance, args, kwargs) as RQ's
// default serializer writes it, so that every RQ worker runs it. Numbers of any
// size and text of any kind reach Python as json.loads would have them.
func payload(function string, a arguments) (distro.Payload, error) {
	size := len(function) + len(a.args) + len(a.kwargs)
	data, err := pickle.AppendCall(make([]byte, 0, size+size/4+32), function, a.args, a.kwargs)
	if err != nil {
		return distro.Payload{}, fmt.Errorf("encode the call of %s: %w", function, err)
	}
	return distro.Payload{Serializer: distro.SerializerPickle, Data: data}, nil
}

// ShowArguments returns the JSON texts of a payload's arguments for people, a
// list and an object; nil where these are no plain JSON data. Where such texts do not tell it all, call
// is the call in Python's spelling. Payloads that are no calls, and those
// longer than 1 MiB, have none of it.
func ShowArguments(p distro.Payload) (args, kwargs []byte, call string) {
	switch {
	case len(p.Data) > maxShown:
	case p.Serializer == distro.SerializerJSON:
		args, kwargs = showJSON(p.Data)
	case p.Serializer == distro.SerializerPickle:
		return showPickle(p.Data)
	}
	return args, kwargs, ""
}

func showJSON(data []byte) (args, kwargs []byte) {
	if jsonscan.Check(data, MaxDepth+1) != nil || jsonscan.KindOf(data) != jsonscan.List {
		return nil, nil
	}
	var parts [][]byte
	for part := range jsonscan.Elements(data) {
		parts = append(parts, part)
	}
	if len(parts) != 4 || jsonscan.KindOf(parts[2]) != jsonscan.List || jsonscan.KindOf(parts[3]) != jsonscan.Object {
		return nil, nil
	}
	return parts[2], parts[3]
}

func showPickle(data []byte) (args, kwargs []byte, call string) {
	view, err := pickle.Call(data)
	if err != nil {
		return nil, nil, ""
	}
	args, plain := view.Args.JSON(maxJSON)
	if plain {
		kwargs, plain = view.Kwargs.JSON(maxJSON)
	}
	if !plain {
		args, kwargs = nil, nil
	}
	switch {
	case view.Instance != "":
		call = view.Instance + "." + view.Describe(maxArgument)
	case !plain:
		call = view.Describe(maxArgument)
	}
	return args, kwargs, call
}

// ArgumentLine is what the call of a payload was given, as Python spells it,
// without the parentheses, for one line: bounded, and empty where the payload is
// no call.
func ArgumentLine(p distro.Payload) string {
	return pickle.Arguments(p.Data, p.Serializer == distro.SerializerJSON)
}

// EachArgument are the arguments of a pickled call one by one, as Python spells
// them: the first ones, most of each kind, each cut behind limit characters. It
// reports false where the payload is no such call of a function, or longer than
// 1 MiB.
func EachArgument(p distro.Payload, most, limit int) (positional []string, keywords []pickle.Named, ok bool) {
	if p.Serializer != distro.SerializerPickle || len(p.Data) > maxShown {
		return nil, nil, false
	}
	view, err := pickle.Call(p.Data)
	if err != nil || view.Instance != "" {
		return nil, nil, false
	}
	positional, keywords = view.Each(most, limit)
	return positional, keywords, true
}
