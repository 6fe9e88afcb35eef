"""Um módulo com um erro de sintaxe."""

def importar(arquivo)
    return arquivo
