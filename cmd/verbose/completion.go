package main

import (
	"embed"
	"fmt"
	"strings"
	"text/template"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (*completionCommand) Help() string {
	return `Examples:

  verbose completion bash > ~/.local/share/bash-completion/completions/verbose
  verbose completion zsh > ~/.zfunc/_verbose
  verbose completion fish > ~/.config/fish/completions/verbose.fish`
}

//go:embed completion.bash.tmpl completion.zsh.tmpl completion.fish.tmpl
var completions embed.FS

// completed is a command as the templates see it. Path is "" for verbose itself.
type completed struct {
	Path     string
	Names    []string // of the last word of Path, aliases included
	Help     string
	Commands []*completed
	Flags    []completedFlag
	Words    []string // values of the first argument
}

type completedFlag struct {
	Long, Short, Help string
	Value             bool // takes one
	Values            []string
	File, Dir         bool
}

func (c *completionCommand) Run(s *streams) error {
	name := "completion." + c.Shell + ".tmpl"
	t := template.New(name).Funcs(template.FuncMap{
		"join":  strings.Join,
		"quote": func(text string) string { return strings.ReplaceAll(text, "'", `'\''`) },
		// A colon or bracket ends a zsh description.
		"zsh": func(text string) string {
			return strings.NewReplacer("'", `'\''`, ":", `\:`, "[", `\[`, "]", `\]`).Replace(text)
		},
	})
	if _, err := t.ParseFS(completions, name); err != nil {
		return fmt.Errorf("the completion template is broken: %w", err)
	}
	var all []*completed
	root := collect(s.app.Node, "", &all)
	return t.ExecuteTemplate(s.out, name, map[string]any{"Root": root, "All": all})
}

// collect turns the command line's model into what templates print, parents first.
func collect(node *kong.Node, path string, all *[]*completed) *completed {
	c := &completed{Path: path, Names: append([]string{node.Name}, node.Aliases...), Help: node.Help}
	*all = append(*all, c)
	for _, flag := range node.Flags {
		c.Flags = append(c.Flags, completeFlag(flag))
	}
	if path != "" && node.Parent != nil { // --help belongs to every command
		for _, flag := range node.Parent.Flags {
			if flag.Name == "help" {
				c.Flags = append(c.Flags, completeFlag(flag))
			}
		}
	}
	for _, argument := range node.Positional {
		if argument.Enum != "" {
			c.Words = argument.EnumSlice()
		}
	}
	for _, child := range node.Children {
		if child.Type == kong.CommandNode {
			c.Commands = append(c.Commands, collect(child, strings.TrimSpace(path+" "+child.Name), all))
		}
	}
	return c
}

func completeFlag(flag *kong.Flag) completedFlag {
	f := completedFlag{Long: flag.Name, Help: firstSentence(flag.Help), Value: !flag.IsBool()}
	if flag.Short != 0 {
		f.Short = string(flag.Short)
	}
	for _, value := range flag.EnumSlice() {
		if value != "" && value != "default" {
			f.Values = append(f.Values, value)
		}
	}
	switch flag.Name {
	case "identity", "ca", "out":
		f.File = true
	case "dir":
		f.Dir = true
	case "compress":
		f.Values = []string{"adaptive", "off", "s2", "zstd"}
	}
	return f
}

func firstSentence(text string) string {
	first, _, _ := strings.Cut(text, ". ")
	return strings.TrimSuffix(first, ".")
}
