package service

import (
	"bytes"
	"encoding/json"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/pickle"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
	"github.com/distro-orchestrator/distro/internal/signature"
)

// Recalled are the arguments of an earlier call as a request has them.
type Recalled struct {
	Args, Kwargs []byte // a JSON list and a JSON object; nil: nothing is known
	Partly       bool   // some had values that no JSON makes, and are left out
	Typed        bool   // they fit the signature, and a Typed request of them is the call, where it had typed values
}

// Recall are the arguments of the call in a payload, for another call of f of
// m. Values that JSON has no word for stand as what a Typed request makes equal
// ones of; each is made once to see that it does.
func Recall(m distro.Module, f distro.Function, p distro.Payload) Recalled {
	return newTyping(target{m.Name, f, m.Types}).recall(p)
}

func (y *typing) recall(p distro.Payload) Recalled {
	if args, kwargs, _ := ShowArguments(p); args != nil && kwargs != nil {
		return y.recallPlain(args, kwargs)
	}
	if p.Serializer != distro.SerializerPickle || len(p.Data) > maxShown {
		return Recalled{}
	}
	view, err := pickle.Call(p.Data)
	if err != nil || view.Instance != "" {
		return Recalled{}
	}
	return y.recallSpelled(view.Spell(maxJSON), maxJSON)
}

// RecallText is Recall for the text that history keeps of a call.
func RecallText(m distro.Module, f distro.Function, arguments string) Recalled {
	return newTyping(target{m.Name, f, m.Types}).recallText(arguments)
}

func (y *typing) recallText(arguments string) Recalled {
	if args, kwargs, ok := signature.Arguments(arguments, pickle.MaxArgument); ok {
		return y.recallPlain(args, kwargs)
	}
	return y.recallSpelled(arguments, pickle.MaxArgument)
}

func (y *typing) recallPlain(args, kwargs []byte) Recalled {
	_, _, err := y.call(arguments{args: args, kwargs: kwargs})
	return Recalled{Args: args, Kwargs: kwargs, Typed: err == nil}
}

// recallSpelled reads arguments as Python spells them. What stands behind an
// argument by position that is left out has another position, and is left out
// too.
func (y *typing) recallSpelled(source string, longest int) Recalled {
	list, ok := y.plan.Spelled(source, longest)
	if !ok {
		return Recalled{}
	}
	known := Recalled{Typed: true}
	var args, kwargs [][]byte
	positions := 0
	for _, a := range list {
		typ := y.of(a.Name)
		if a.Name == "" {
			typ = y.at(positions)
			positions++
		}
		switch {
		case !y.makes(typ, a, longest) || a.Name == "" && len(args) < positions-1:
			known.Partly = true
		case a.Name == "":
			args = append(args, a.JSON)
		default:
			name, err := json.Marshal(a.Name)
			if err != nil { // text always encodes
				return Recalled{}
			}
			kwargs = append(kwargs, append(append(name, ':'), a.JSON...))
		}
	}
	if len(args)+len(kwargs) == 0 && len(list) > 0 {
		return Recalled{}
	}
	known.Args = append(append([]byte("["), bytes.Join(args, []byte(","))...), ']')
	known.Kwargs = append(append([]byte("{"), bytes.Join(kwargs, []byte(","))...), '}')
	return known
}

// makes reports whether the JSON that stands for an argument makes what Python
// spells the same.
func (y *typing) makes(t signature.Type, a signature.Spelled, longest int) bool {
	if a.JSON == nil || jsonscan.Check(a.JSON, MaxDepth) != nil {
		return false
	}
	y.begin(len(a.JSON))
	v, err := y.value(t, a.JSON, a.Name, MaxDepth)
	if err != nil {
		return false
	}
	data, err := pickle.Append(nil, v)
	if err != nil {
		return false
	}
	made, err := pickle.Read(data, pickle.Limits{})
	return err == nil && made.Repr(longest) == a.Source
}
