"""What the encoder is for: protocols, metrics, and records one can trust.

    features       of every example of a split, in inference mode
    cache          features on disk, by all that they depend on
    knn            weighted nearest neighbours
    logistic       l2-regularised regression by L-BFGS, l2 chosen on validation
    few_labels     the quick look after pretraining
    label_subsets  which examples keep their labels
    transfer       the paper's twelve data sets, and its grids
    metrics        top-k, mean per class, 11-point mAP
    intervals      how far off they may be
    permutation    whether two models differ
    records        a number with everything that it depends on
    tables, paper  records side by side, with the paper's numbers
    neighbours     a picture of who is near whom

`python -m simclr_tf.evaluation RECORD...` prints records.
"""
