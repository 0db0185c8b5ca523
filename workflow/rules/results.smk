# Tables and figures from the predictions. Every table can be recomputed from predictions/ alone.


rule tables:
    input:
        written_tables(),


rule figures:
    input:
        drawn_figures(),
