// Package form asks people for the arguments of a Python function.
//
// A Form is made of a function as the catalog knows it: each parameter gets the
// control that its annotation, its default or its name asks for. Answers are
// what somebody entered, or what stands in the form before: url.Values by the
// names of its controls. Answers give a View, which a template shows, and
// arguments as JSON; what is wrong is noted at its field, and the View tells it
// in the reader's language.
//
// The names of controls are a contract with templates, with scripts and with
// addresses that people keep:
//
//	kw.NAME         the value of a parameter; kw.NAME.MEMBER within a record, kw.NAME.0 in a row
//	raw             the path of a field that is entered as JSON; once for each
//	null:PATH       there: an empty field is None
//	n:PATH          how many rows there are
//	key:PATH        the key of a row
//	file:PATH       a file in place of the value
//	ref:PATH        the ID of a file that an earlier post of the form sent
//	pick:PATH       one of the values that are suggested, to become a line of the field
//	opt.NAME        an option of the job, beside the arguments
//	add, drop, as-json, as-form, pick
//	                the path of what a button gives a row or line more or less, or another shape
//	suggest, suggest-again
//	                the path of what a button asks for suggestions for
//
// Everything in a request is what anybody may have sent. No form has more than
// 200 fields or 100 rows in one of them, and no name that is none of its
// controls changes what a call gets.
package form
