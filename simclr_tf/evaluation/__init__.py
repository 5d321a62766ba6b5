"""What the encoder is for: protocols, metrics, and records one can trust.

    features       of arrays, and of every example of a split
    cache          features on disk, by all that they depend on
    scoring        from scores and labels to metrics: the one way to score
    knn            weighted nearest neighbours; knn_watch, while training
    few_labels     the quick look after pretraining: regression with l2 fixed
    fitted         regressions whose l2 is chosen or given, and a small MLP
    label_subsets  which examples keep their labels
    transfer       the paper's twelve data sets, and its grids
    fine_tuning_grid  settings of fine-tuning that are tried on them
    metrics        top-k, mean per class, 11-point mAP
    statistics     how far off they may be, and whether two models differ
    records        a number with everything that it depends on

`python -m simclr_tf.evaluation RECORD...` prints records.
"""
